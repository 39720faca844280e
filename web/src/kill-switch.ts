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
export type BrokerState = { kill_switches: Engaged[] };
type Answer = { message: string; kill_switches: Engaged[] };

class KillBanner extends HTMLElement {
  #banner = find(".kill-banner", this);
  #release = find<HTMLButtonElement>("[data-release]", this);
  #now: Engaged[] = [];

  connectedCallback(): void {
    this.#paint(JSON.parse(find("script", this).textContent || "[]") as Engaged[]);
    this.#release.onclick = () => this.#askToRelease();
    enable(this);
    live.on<BrokerState>("broker", ({ kill_switches }) => this.#paint(kill_switches));
    document.addEventListener("kill-switch", () => this.#askToEngage());
  }

  #paint(now: Engaged[]): void {
    this.#now = now;
    this.#banner.hidden = now.length === 0;
    setText(find("[data-f=engaged]", this), now.map((one) => one.sentence).join(" "));
    this.#release.hidden = !now.some((one) => one.may_release);
  }

  #askToEngage(): void {
    const dialog = openDialog("#kill-dialog");
    const form = find<HTMLFormElement>("form", dialog);
    form.reset();
    this.#answer(form, "/api/kill-switch/engage", () => Object.fromEntries(new FormData(form)));
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
        const { message, kill_switches } = await post<Answer>(path, body());
        form.closest("dialog")?.close();
        this.#paint(kill_switches);
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
