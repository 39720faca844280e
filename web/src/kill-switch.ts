/** The kill switch: a banner on every page while one is engaged, and the dialogs that turn it. */
import { ApiError, post } from "./api";
import { openDialog } from "./dialogs";
import { find, setText } from "./dom";
import { enable } from "./forms";
import { live } from "./live";
import { toast } from "./toast";

export type Engaged = {
  scope: string; id: string; covers: string; by: string; at: string; reason: string; sentence: string; may_release: boolean;
};
export type Task = { scope: string; id: string; at: string; state: "working" | "pending" | "done" | "released"; sentence: string };
export type BrokerState = { kill_switches: Engaged[]; kill_tasks: Task[] };
type Answer = { message: string; kill_switches: Engaged[]; kill_tasks?: Task[] };
type Only = { scope: string; id: string; name: string };

class KillBanner extends HTMLElement {
  #banner = find(".kill-banner", this);
  #release = find<HTMLButtonElement>("[data-release]", this);
  #now: Engaged[] = [];

  connectedCallback(): void {
    this.#paint(JSON.parse(find("script", this).textContent || "[]") as Engaged[]);
    this.#release.onclick = () => this.#askToRelease();
    enable(this);
    live.on<BrokerState>("broker", ({ kill_switches, kill_tasks }) => { this.#paint(kill_switches); this.#paintTasks(kill_tasks); });
    document.addEventListener("kill-switch", () => this.#askToEngage(null));
    document.addEventListener("click", ({ target }) => {
      const button = (target as Element).closest<HTMLElement>("[data-kill-scope]");
      const { killScope: scope = "", id = "", name = "" } = button?.dataset ?? {};
      if (button) this.#askToEngage({ scope, id, name });
    });
  }

  #paint(now: Engaged[]): void {
    this.#now = now;
    this.#banner.hidden = now.length === 0;
    setText(find("[data-f=engaged]", this), now.map((one) => one.sentence).join(" "));
    this.#release.hidden = !now.some((one) => one.may_release);
  }

  /** What engaged switches were asked for: while they stand, and once when all is done. */
  #paintTasks(tasks: Task[]): void {
    const standing = tasks.filter((task) => this.#now.some((one) => one.scope === task.scope && one.id === task.id));
    setText(find("[data-f=tasks]", this), standing.map((task) => task.sentence).join(" "));
  }

  #askToEngage(only: Only | null): void {
    const dialog = openDialog("#kill-dialog");
    const form = find<HTMLFormElement>("form", dialog);
    form.reset();
    const [about, scopes] = [find("[data-only]", form), form.querySelector<HTMLFieldSetElement>("[data-scopes]")];
    about.hidden = only === null;
    setText(about, only === null ? "" : `For ${only.name} only.`);
    if (scopes) [scopes.hidden, scopes.disabled] = [only !== null, only !== null];
    const body = (): { steps: string[] } & Record<string, unknown> => {
      const data = new FormData(form);
      const steps = data.getAll("steps").map(String);
      data.delete("steps");
      return { ...Object.fromEntries(data), ...(only && { scope: only.scope, id: only.id }), steps };
    };
    this.#confirm(form);
    this.#drill(form, body);
    this.#answer(form, "/api/kill-switch/engage", body);
  }

  /** Positions are closed for somebody who has typed it, not for somebody who slipped. */
  #confirm(form: HTMLFormElement): void {
    const [box, typed] = [find("[data-confirm]", form), find<HTMLInputElement>("[data-typed]", form)];
    const engage = find<HTMLButtonElement>("[data-engage]", form);
    const flatten = find<HTMLInputElement>("[value=flatten]", form);
    const cancel = find<HTMLInputElement>("[value=cancel]", form);
    const look = () => {
      if (flatten.checked) cancel.checked = true;
      cancel.disabled = flatten.checked;
      box.hidden = !flatten.checked;
      engage.disabled = flatten.checked && typed.value.trim().toUpperCase() !== "KILL";
      setText(find("[data-drilled]", form), "");
    };
    form.oninput = look;
    look();
  }

  #drill(form: HTMLFormElement, body: () => object): void {
    find<HTMLButtonElement>("[data-drill]", form).onclick = async () => {
      try {
        const { message } = await post<{ message: string }>("/api/kill-switch/engage", { ...body(), drill: true });
        setText(find("[data-drilled]", form), message);
        setText(find("[data-error]", form), "");
      } catch (problem) {
        setText(find("[data-error]", form), (problem as ApiError).message);
      }
    };
  }

  /** The widest that this person may release; a narrower one shows itself in its place then. */
  #askToRelease(): void {
    const engaged = this.#now.find((one) => one.may_release);
    if (!engaged) return;
    const dialog = openDialog("#release-dialog");
    setText(find("[data-about]", dialog), engaged.sentence);
    this.#answer(find<HTMLFormElement>("form", dialog), "/api/kill-switch/release", () => ({ scope: engaged.scope, id: engaged.id }));
  }

  #answer(form: HTMLFormElement, path: string, body: () => object): void {
    const [refusal, button] = [find("[data-error]", form), find("button:not([type=button])", form)];
    setText(refusal, "");
    form.onsubmit = async (event) => {
      event.preventDefault();
      button.setAttribute("aria-busy", "true");
      try {
        const { message, kill_switches, kill_tasks } = await post<Answer>(path, body());
        form.closest("dialog")?.close();
        this.#paint(kill_switches);
        this.#paintTasks(kill_tasks ?? []);
        toast(message, "info");
      } catch (problem) {
        setText(refusal, (problem as ApiError).message);
      } finally {
        button.removeAttribute("aria-busy");
      }
    };
  }
}

customElements.define("kill-banner", KillBanner);
