/** The Settings tab: how a strategy is run, and what its script finds in its environment. */
import { ApiError, post } from "./api";
import { openDialog } from "./dialogs";
import { all, find, make, setText } from "./dom";
import { moment } from "./format";
import { enable, showErrors } from "./forms";
import { toast } from "./toast";

type Kind = "variable" | "secret";
type Listed = { name: string; value?: string; changed_at: string };
type Value = boolean | number | string | null | (number | string)[];
type State = { settings: Record<string, Value>; variables: Listed[]; secrets: Listed[] };
type Answer = State & { message: string };
type Field = HTMLInputElement | HTMLSelectElement | HTMLTextAreaElement;

const BULLETS = "••••••••";

/** Shows the refusal at the field that the server named, else under the form. It stays there, so
 * the toast need not: one that stays would lie over the buttons. */
function refuse(problem: ApiError, form: HTMLElement): void {
  const field = typeof problem.details.field === "string" ? problem.details.field : "";
  const isThere = form.querySelector(`[data-error="${CSS.escape(field)}"]`) !== null;
  showErrors(form, { [isThere ? field : ""]: problem.message });
  toast(problem.message, "warning");
}

/** What a field says, as the server wants it; what does not fit goes as it is, to be refused there. */
function read(field: Field): Value {
  const text = field.value.trim();
  switch (field.dataset.setting) {
    case "yes-no": return (field as HTMLInputElement).checked;
    case "whole": return /^-?\d+$/.test(text) ? Number(text) : null;
    case "ports": return text.split(/[\s,]+/).filter(Boolean).map((port) => (/^\d+$/.test(port) ? Number(port) : port));
    case "lines": return text.split("\n").map((line) => line.trim()).filter(Boolean);
    default: return text;
  }
}

function write(field: Field, value: Value | undefined): void {
  if (field.dataset.setting === "yes-no") (field as HTMLInputElement).checked = value === true;
  else if (Array.isArray(value)) field.value = value.join(field.dataset.setting === "lines" ? "\n" : ", ");
  else field.value = String(value ?? "");
}

class StrategySettings extends HTMLElement {
  #id = encodeURIComponent(this.closest<HTMLElement>("[data-strategy]")?.dataset.strategy ?? "");
  #form = find<HTMLFormElement>("form[data-settings]", this);
  #fields = all<Field>("[data-setting]", this.#form);
  #state = JSON.parse(find("[data-state]", this).textContent || "{}") as State;

  connectedCallback(): void {
    this.#form.addEventListener("input", () => this.#show());
    this.#form.onsubmit = (event) => { event.preventDefault(); void this.#save(); };
    find("[data-reset]", this).onclick = () => this.#paintSettings();
    for (const kind of ["variable", "secret"] as const) {
      const form = find<HTMLFormElement>("form", this.#part(kind));
      form.onsubmit = (event) => { event.preventDefault(); void this.#set(kind, form); };
    }
    find<HTMLInputElement>("[name=is_confined]", this).onchange = (event) => this.#confine(event.target as HTMLInputElement);
    document.addEventListener("keydown", (event) => this.#key(event));
    addEventListener("beforeunload", (event) => this.#isUnsaved() && event.preventDefault());
    this.#paintSettings();
    this.#paintValues();
    enable(this);
  }

  /* Settings */

  #changes = (): Field[] => this.#fields.filter((field) => JSON.stringify(read(field)) !== JSON.stringify(this.#state.settings[field.name]));

  #isUnsaved(): boolean {
    return this.#changes().length > 0 || all<HTMLTextAreaElement>(".values-add textarea", this).some((area) => area.value !== "");
  }

  #paintSettings(): void {
    for (const field of this.#fields) write(field, this.#state.settings[field.name]);
    showErrors(this.#form, {});
    this.#show();
  }

  /** What depends on what is chosen. */
  #show(): void {
    const value = (name: string) => { const field = this.#fields.find((one) => one.name === name); return field && read(field); };
    const changed = this.#changes().length > 0;
    find("[data-unsaved]", this).hidden = !changed;
    for (const button of all<HTMLButtonElement>("[data-save], [data-reset]", this)) button.disabled = !changed;
    find<HTMLFieldSetElement>("[data-only-confined]", this).disabled = value("is_confined") !== true;
    find<HTMLInputElement>("[name=ports]", this).disabled = value("may_connect_anywhere") === true;
    for (const name of ["most_restarts", "restart_window_minutes", "stable_minutes"]) {
      find<HTMLInputElement>(`[name=${name}]`, this).disabled = value("restart") === "never";
    }
  }

  /** Switching it off takes a second look; switching it on does not. */
  #confine(box: HTMLInputElement): void {
    if (box.checked) return;
    box.checked = true;
    this.#show();
    const dialog = openDialog("#unconfine-dialog");
    find<HTMLFormElement>("form", dialog).onsubmit = () => { box.checked = false; this.#show(); };
  }

  async #save(): Promise<void> {
    if (!this.#changes().length) return toast("There is nothing new to save.", "info");
    const button = find("[data-save]", this);
    const body = Object.fromEntries(this.#changes().map((field) => [field.name, read(field)]));
    button.setAttribute("aria-busy", "true");
    try {
      const answer = await post<Answer>(`/python/settings/${this.#id}`, body);
      this.#state = answer;
      this.#paintSettings();
      toast(answer.message);
    } catch (problem) {
      refuse(problem as ApiError, this.#form);
    } finally {
      button.removeAttribute("aria-busy");
    }
  }

  #key(event: KeyboardEvent): void {
    const isShown = this.closest<HTMLElement>("[role=tabpanel]")?.hidden === false;
    if (!isShown || event.key !== "s" || !(event.ctrlKey || event.metaKey)) return;
    event.preventDefault();
    void this.#save();
  }

  /* Variables and secrets */

  #part = (kind: Kind): HTMLElement => find(`[data-values=${kind}]`, this);

  async #set(kind: Kind, form: HTMLFormElement): Promise<void> {
    const [name, value] = [find<HTMLInputElement>("[name=name]", form), find<HTMLTextAreaElement>("[name=value]", form)];
    const button = find("button", form);
    button.setAttribute("aria-busy", "true");
    try {
      const answer = await post<Answer>(`/python/${kind}/${this.#id}`, { name: name.value.trim(), value: value.value });
      form.reset();
      showErrors(form, {});
      this.#took(answer);
      name.focus();
    } catch (problem) {
      refuse(problem as ApiError, form);
    } finally {
      button.removeAttribute("aria-busy");
    }
  }

  #askRemoval(kind: Kind, name: string): void {
    const dialog = openDialog("#remove-value-dialog");
    const form = find<HTMLFormElement>("form", dialog);
    const refusal = find("[data-error]", dialog);
    setText(find("[data-name]", dialog), name);
    setText(find("[data-explains]", dialog), kind === "secret"
      ? "Its value cannot be had back from here. From its next start on the script does not find it."
      : "From its next start on the script does not find it.");
    setText(refusal, "");
    form.onsubmit = async (event) => {
      event.preventDefault();
      try {
        this.#took(await post<Answer>(`/python/${kind}/${this.#id}/delete`, { name }));
        dialog.close();
        find("[name=name]", this.#part(kind)).focus(); // the row that had the focus is gone
      } catch (problem) {
        setText(refusal, (problem as ApiError).message);
      }
    };
  }

  /** Takes over what the server says there is; settings that are being edited stay. */
  #took(answer: Answer): void {
    this.#state = { ...this.#state, variables: answer.variables, secrets: answer.secrets };
    this.#paintValues();
    toast(answer.message);
  }

  #paintValues(): void {
    for (const [kind, listed] of [["variable", this.#state.variables], ["secret", this.#state.secrets]] as const) {
      const none = make("li", { class: "sub py-3" }, kind === "secret" ? "No secrets." : "No variables.");
      find("ul", this.#part(kind)).replaceChildren(...(listed.length ? listed.map((one) => this.#item(kind, one)) : [none]));
    }
  }

  #item(kind: Kind, one: Listed): HTMLLIElement {
    const value = make("span", { class: "value" }, one.value ?? BULLETS);
    if (one.value === undefined) { value.setAttribute("role", "img"); value.ariaLabel = "hidden"; }
    const word = kind === "secret" ? "Replace" : "Edit";
    const edit = make("button", { class: "btn btn-xs btn-quiet", type: "button", "aria-label": `${word} ${one.name}` }, word);
    const remove = make("button", { class: "btn btn-xs btn-quiet", type: "button", "aria-label": `Remove ${one.name}` }, "Remove");
    edit.onclick = () => {
      const form = find("form", this.#part(kind));
      find<HTMLInputElement>("[name=name]", form).value = one.name;
      const area = find<HTMLTextAreaElement>("[name=value]", form);
      area.value = one.value ?? "";
      area.focus();
    };
    remove.onclick = () => this.#askRemoval(kind, one.name);
    return make("li", {},
      make("code", { class: "name" }, one.name), value,
      make("time", { class: "sub tabular-nums", datetime: one.changed_at, title: "Changed, IST" }, moment(new Date(one.changed_at))),
      edit, remove);
  }
}
customElements.define("strategy-settings", StrategySettings);
