/** The environment of a strategy: how it stands, while it is made line by line, and what it asks for. */
import { ApiError, post } from "./api";
import { openDialog } from "./dialogs";
import { find, make, setText } from "./dom";
import { enable, showErrors } from "./forms";
import { megabytes } from "./format";
import { live } from "./live";
import { toast } from "./toast";

type State = "built_in" | "not_made" | "making" | "not_allowed" | "ready" | "failed";
type Environment = {
  state: State; word: string; asked: string[]; asked_python: string; origin: string; requirements: string;
  python: string | null; packages: [string, string][]; size_bytes: number | null; key: string | null; allowed_by: string | null; line: string; error: string;
};
type Answer = { message: string; environment: Environment };

class EnvironmentCard extends HTMLElement {
  #id = this.closest<HTMLElement>("[data-strategy]")?.dataset.strategy ?? "";
  #path = `/python/environment/${encodeURIComponent(this.#id)}`;
  #again = find<HTMLButtonElement>("[data-again]", this);
  #allow = this.querySelector<HTMLButtonElement>("[data-allow]"); // only administrators have it
  #form = find<HTMLFormElement>("form", this);
  #area = find<HTMLTextAreaElement>("textarea", this);
  #kept = "";
  #now?: Environment;

  connectedCallback(): void {
    this.#paint(JSON.parse(find("script", this).textContent || "{}") as Environment);
    this.#again.onclick = () => void this.#makeAgain();
    if (this.#allow) this.#allow.onclick = () => this.#askToAllow();
    this.#form.onsubmit = (event) => {
      event.preventDefault();
      void this.#save();
    };
    const picker = find<HTMLInputElement>("[data-file]", this);
    picker.onchange = async () => {
      const file = picker.files?.[0];
      if (file) this.#area.value = await file.text();
      picker.value = "";
    };
    enable(this);
    live.on<{ environment: Environment }>(`environment:${this.#id}`, ({ environment }) => this.#paint(environment));
  }

  #paint(now: Environment): void {
    const text = (name: string, value: string) => setText(find(`[data-${name}]`, this), value);
    this.#now = now;
    this.dataset.state = now.state;
    find("[data-waiting]", this).hidden = now.state !== "not_allowed";
    text("allowed", now.allowed_by ?? "–");
    text("word", now.word);
    text("line", now.state === "making" ? now.line : "");
    text("asked", [...now.asked, ...(now.asked_python ? [`Python ${now.asked_python}`] : [])].join(", ") || "–");
    text("origin", now.origin || "–");
    text("python", now.python ?? "–");
    text("own-python", now.python ?? "");
    find("[data-built-in]", this).hidden = now.state !== "built_in";
    find("dl", this).hidden = now.state === "built_in";
    text("size", megabytes(now.size_bytes));
    text("count", `${now.packages.length} ${now.state === "not_allowed" ? "resolved" : "installed"}`);
    find("[data-packages]", this).replaceChildren(...listed(now));
    find("[data-installed]", this).hidden = now.packages.length === 0;
    find("[data-none]", this).hidden = now.packages.length > 0;
    find("[data-failed]", this).hidden = now.state !== "failed";
    setText(find("pre", this), now.error);
    this.#again.hidden = now.state === "built_in" || now.asked.length === 0;
    this.#again.toggleAttribute("disabled", now.state === "making");
    if (this.#area.value.trim() === this.#kept.trim()) this.#area.value = now.requirements; // nothing typed is lost
    this.#kept = now.requirements;
  }

  /** What the dialog shows is what is allowed: the server refuses if it has become something else. */
  #askToAllow(): void {
    const seen = this.#now;
    if (!seen?.key) return;
    const dialog = openDialog("#allow-dialog");
    find("[data-to-allow]", dialog).replaceChildren(...listed(seen));
    find<HTMLFormElement>("form", dialog).onsubmit = () => void this.#allowed(seen.key ?? "");
  }

  async #allowed(key: string): Promise<void> {
    try {
      const { message, environment } = await post<Answer>(`${this.#path}/allow`, { key });
      this.#paint(environment);
      toast(message);
    } catch (problem) {
      toast((problem as ApiError).message, "error");
    }
  }

  async #makeAgain(): Promise<void> {
    try {
      const { environment } = await post<Answer>(`${this.#path}/again`);
      this.#paint(environment);
    } catch (problem) {
      toast((problem as ApiError).message, "error");
    }
  }

  async #save(): Promise<void> {
    const button = find<HTMLButtonElement>("button.btn-primary", this.#form);
    button.setAttribute("aria-busy", "true");
    try {
      const { message, environment } = await post<Answer>(this.#path, { requirements: this.#area.value });
      showErrors(this.#form, {});
      this.#area.value = environment.requirements;
      this.#kept = environment.requirements;
      this.#paint(environment);
      toast(message);
    } catch (problem) {
      const { code, message } = problem as ApiError;
      showErrors(this.#form, { [code === "BAD_REQUIREMENTS" || code === "BAD_FIELDS" ? "requirements" : ""]: message });
    } finally {
      button.removeAttribute("aria-busy");
    }
  }
}

const listed = ({ packages }: Environment): HTMLElement[] => packages.map(([name, version]) => make("li", {}, `${name} ${version}`));

customElements.define("environment-card", EnvironmentCard);
