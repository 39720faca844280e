/** The limits of a strategy, an account or the host: shown, set, and what they refused. */
import { ApiError, get, post } from "./api";
import { ask } from "./dialogs";
import { all, find, make, setText } from "./dom";
import { showErrors } from "./forms";
import { inr, moment } from "./format";
import { toast } from "./toast";

type Limits = Record<string, string | number | boolean | string[] | null>;
type Standing = {
  whose: string; is_set: boolean; limits: Limits; by: string | null; may_set: boolean;
  open_orders: number | null; orders_today: number | null; pnl: string | null;
  loss_reached: { at: string; lost: string } | null;
};
type Told = { target: Standing; above: Standing[]; events: { at: string; sentence: string }[] };

class RiskLimits extends HTMLElement {
  #form = find<HTMLFormElement>("form", this);
  #shown: Limits = {};

  connectedCallback(): void {
    this.#form.onsubmit = (event) => { event.preventDefault(); void this.#send("/api/risk/set", { limits: this.#written() }); };
    find("[data-clear]", this).onclick = () => void this.#clear();
    void this.#load();
  }

  async #clear(): Promise<void> {
    const words = "Orders are bounded by what else covers them from then on, at once.";
    if (await ask("Take all these limits away?", words, "Take all away")) await this.#send("/api/risk/clear", {});
  }

  get #target(): { scope: string; id: string } {
    return { scope: this.dataset.scope ?? "account", id: this.dataset.id ?? "" };
  }

  async #load(): Promise<void> {
    try {
      const told = await get<Told>(`/api/risk/target?${new URLSearchParams(this.#target)}`);
      this.#fill(told.target);
      this.#say(told);
    } catch (problem) {
      showErrors(this.#form, { "": (problem as ApiError).message });
    }
  }

  #inputs(): HTMLInputElement[] {
    return all<HTMLInputElement>("input[name]", this.#form);
  }

  #fill({ limits, may_set, is_set }: Standing): void {
    for (const input of this.#inputs()) {
      const value = limits[input.name] ?? null;
      if (input.type === "checkbox") input.checked = value === true;
      else input.value = Array.isArray(value) ? value.join(", ") : value === null ? "" : String(value);
      input.disabled = !may_set;
    }
    this.#shown = this.#all();
    find<HTMLButtonElement>("[data-save]", this).disabled = !may_set;
    find<HTMLButtonElement>("[data-clear]", this).disabled = !may_set || !is_set;
  }

  #say({ target, above, events }: Told): void {
    const reached = [target, ...above].find((one) => one.loss_reached !== null);
    const notice = find("[data-loss]", this);
    notice.hidden = reached === undefined;
    if (reached?.loss_reached) {
      const { at, lost } = reached.loss_reached;
      setText(notice, `The daily loss of ${reached.whose} was reached at ${moment(new Date(at))} IST with ${inr(lost)}: no position is opened today. Orders that close one are taken.`);
    }
    const today = target.orders_today === null ? ""
      : `Today: ${target.orders_today} orders, ${target.open_orders} open, P&L ${inr(target.pnl)}.`;
    const by = target.is_set ? ` Set by ${target.by}.` : "";
    const holding = above.filter((one) => one.is_set).map((one) => one.whose);
    const others = holding.length ? ` The limits of ${holding.join(" and ")} hold too; the tightest wins.` : "";
    setText(find("[data-today]", this), `${today}${by}${others}`);
    const list = find("[data-events]", this);
    list.hidden = events.length === 0;
    list.replaceChildren(...events.map((one) => make("li", {}, `${moment(new Date(one.at))} IST: ${one.sentence}`)));
  }

  /** What was changed here: what another page has set meanwhile stays. */
  #written(): Limits {
    return Object.fromEntries(Object.entries(this.#all()).filter(([name, value]) => value !== this.#shown[name]));
  }

  #all(): Limits {
    return Object.fromEntries(this.#inputs().map((input) =>
      [input.name, input.type === "checkbox" ? input.checked : input.value.trim() || null]));
  }

  async #send(path: string, body: object): Promise<void> {
    const button = find(path.endsWith("set") ? "[data-save]" : "[data-clear]", this);
    showErrors(this.#form, {});
    button.setAttribute("aria-busy", "true");
    try {
      const { message } = await post<{ message: string }>(path, { ...this.#target, ...body });
      toast(message);
      await this.#load();
    } catch (problem) {
      const { message, details } = problem as ApiError;
      showErrors(this.#form, { [typeof details.field === "string" ? details.field : ""]: message });
    } finally {
      button.removeAttribute("aria-busy");
    }
  }
}

customElements.define("risk-limits", RiskLimits);
