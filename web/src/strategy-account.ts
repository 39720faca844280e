/** Where a strategy's orders go: shown and changed. To go live, the strategy's name is typed. */
import { ApiError, get, post } from "./api";
import { openDialog } from "./dialogs";
import { find, make, setText } from "./dom";
import { showErrors } from "./forms";
import { toast } from "./toast";

type Account = { id: string; name: string; mode: string; is_disabled: boolean };
type Told = { mode: string; account: Account; message: string };

class StrategyAccount extends HTMLElement {
  #path = `/python/mode/${encodeURIComponent(this.dataset.id ?? "")}`;
  #form = find<HTMLFormElement>("form", this);
  #select = find<HTMLSelectElement>("select", this);
  #button = find<HTMLButtonElement>("[data-move]", this);
  #accounts: Account[] = [];
  #now = "";

  connectedCallback(): void {
    this.#form.onsubmit = (event) => { event.preventDefault(); this.#move(); };
    this.#select.onchange = () => this.#show();
    void this.#load();
  }

  async #load(): Promise<void> {
    try {
      const [{ accounts }, { account }] = await Promise.all([
        get<{ accounts: Account[] }>("/api/accounts"), get<Told>(this.#path),
      ]);
      this.#accounts = accounts;
      this.#paint(account);
    } catch (problem) {
      showErrors(this.#form, { "": (problem as ApiError).message });
    }
  }

  #paint(account: Account): void {
    this.#now = account.id;
    const isMine = this.#accounts.some((one) => one.id === account.id);
    const listed = isMine ? this.#accounts : [account];
    this.#select.replaceChildren(...listed.map((one) => {
      const option = make("option", { value: one.id }, `${one.name} (${one.mode})${one.is_disabled ? ", disabled" : ""}`);
      option.disabled = one.is_disabled && one.id !== account.id;
      option.selected = one.id === account.id;
      return option;
    }));
    this.#select.disabled = !isMine;
    const isLive = account.mode === "live";
    const badge = find("[data-mode]", this);
    setText(badge, account.mode);
    badge.classList.toggle("tag-draft", isLive);
    setText(find("[data-now]", this), isLive
      ? `Its orders go to the broker with real money, in “${account.name}”.`
      : `Its orders go to the paper exchange of this host, in “${account.name}”.`);
    setText(find("[data-hint]", this), isMine
      ? "Applies from its next start; it must be stopped to be moved."
      : "Only its owner can move it into another account.");
    this.#show();
  }

  #show(): void {
    this.#button.disabled = this.#select.disabled || this.#select.value === this.#now;
    showErrors(this.#form, {});
  }

  #move(): void {
    const chosen = this.#accounts.find((one) => one.id === this.#select.value);
    if (!chosen || chosen.id === this.#now) return;
    if (chosen.mode === "live") this.#confirm(chosen);
    else void this.#send(chosen, "", this.#form);
  }

  #confirm(chosen: Account): void {
    const dialog = openDialog("#go-live-dialog");
    const form = find<HTMLFormElement>("form", dialog);
    const typed = find<HTMLInputElement>("input", form);
    const button = find<HTMLButtonElement>("button.btn-error", form);
    setText(find("[data-account]", dialog), chosen.name);
    typed.value = "";
    button.disabled = true;
    showErrors(form, {});
    typed.oninput = () => { button.disabled = typed.value.trim() !== (this.dataset.name ?? ""); };
    form.onsubmit = async (event) => {
      event.preventDefault();
      if (button.disabled) return;
      if (await this.#send(chosen, typed.value.trim(), form)) dialog.close();
    };
  }

  /** Whether it was moved; a refusal is told in the form it was asked from. */
  async #send(chosen: Account, confirmation: string, form: HTMLFormElement): Promise<boolean> {
    const button = find<HTMLButtonElement>("button:not([type=button])", form);
    button.setAttribute("aria-busy", "true");
    try {
      const told = await post<Told>(this.#path, { account: chosen.id, confirmation });
      this.#paint(told.account);
      toast(told.message);
      return true;
    } catch (problem) {
      const { message, details } = problem as ApiError;
      const isThere = form.querySelector(`[data-error="${String(details.field)}"]`) !== null;
      showErrors(form, { [isThere ? String(details.field) : ""]: message });
      return false;
    } finally {
      button.removeAttribute("aria-busy");
    }
  }
}

customElements.define("strategy-account", StrategyAccount);
