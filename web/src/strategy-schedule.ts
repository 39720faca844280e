/** The Schedule tab: how a strategy is scheduled, an editor with the next starts, and the history. */
import { ApiError, get, post } from "./api";
import { now } from "./clock";
import { openDialog } from "./dialogs";
import { all, find, icon, make, setText } from "./dom";
import { until } from "./format";
import { enable, showErrors } from "./forms";
import { historyTable, paintEntries, type Entry, type Occurrence } from "./schedule-entries";
import { clock, NEW_WINDOW, number, readWindow, showWindow, writeWindow, type Schedule, type Window } from "./schedule-form";
import { toast } from "./toast";

type Problem = { field: string; window: number | null; message: string };
type Preview = { problem: Problem | null; sentence: string; entries: Entry[]; never: boolean };
/** `older`: how many to ask for, to see more than these. */
type History = { occurrences: Occurrence[]; older: number | null };
/** What is typed: a schedule, and whose days it follows. */
type Draft = Schedule & { exchange: string };
type Preset = { name: string; schedule: Partial<Schedule>; exchange: string | null };
type State = {
  schedule: Schedule; exchange: string; sentence: string; next_at: string | null; next_text: string; warning: string; is_set: boolean;
  locked: string; presets: Preset[]; preview: Preview; history: History;
};
type Answer = State & { message: string };

const PREVIEW_AFTER_MS = 250;
const LOOK_AFTER_MS = 200;
const CHOICES = ["special_days", "late", "zone", "exchange"] as const;
const DATES = ["first_day", "last_day"] as const;

class StrategySchedule extends HTMLElement {
  #id = encodeURIComponent(this.closest<HTMLElement>("[data-strategy]")?.dataset.strategy ?? "");
  #form = find<HTMLFormElement>("form[data-schedule]", this);
  #windows = find("[data-windows]", this);
  #state = JSON.parse(find("[data-state]", this).textContent || "{}") as State;
  #kind: Schedule["kind"] = "manual";
  #skipped: string[] = [];
  #saved = "";
  #timer = 0;
  #waits = 0;
  #asked = 0;

  connectedCallback(): void {
    this.#form.addEventListener("input", () => this.#changed());
    this.#form.addEventListener("change", ({ target }) => {
      if (target instanceof HTMLInputElement && target.matches("[data-clock]")) target.value = clock(target.value);
    });
    this.#form.onsubmit = (event) => { event.preventDefault(); void this.#save(); };
    this.addEventListener("click", (event) => this.#clicked(event.target as Element));
    find<HTMLFormElement>("#clear-schedule-dialog form", this).onsubmit = (event) => { event.preventDefault(); void this.#clear(); };
    document.addEventListener("keydown", (event) => this.#key(event));
    addEventListener("beforeunload", (event) => this.#isUnsaved() && event.preventDefault());
    this.closest("strategy-page")?.addEventListener("schedule-changed", () => this.#again());
    setInterval(() => this.#paintNext(), 1000);
    this.#took(this.#state);
    enable(this);
  }

  /* What the server said */

  #took(state: State): void {
    this.#state = state;
    this.#paintState();
    this.#fill({ ...state.schedule, exchange: state.exchange });
    this.#saved = JSON.stringify(this.#read());
    this.#paintUnsaved();
    showErrors(this.#form, {});
    this.#paintPreview(state.preview);
    this.#paintHistory(state.history);
  }

  #paintState(): void {
    const { sentence, warning, is_set, locked } = this.#state;
    setText(find("[data-s=sentence]", this), sentence);
    setText(find("[data-s=warning]", this), warning);
    find("[data-s=warning]", this).hidden = !warning;
    find("[data-clear]", this).hidden = !is_set || locked !== "";
    find("[data-locked]", this).hidden = locked === "";
    setText(find("[data-locked-text]", this), locked);
    find<HTMLFieldSetElement>("[data-editable]", this).disabled = locked !== "";
    this.#paintNext();
  }

  #paintNext(): void {
    const { next_at, next_text } = this.#state;
    const seconds = next_at ? (new Date(next_at).getTime() - now()) / 1000 : 0;
    setText(find("[data-s=next]", this), next_at ? `${next_text}, ${until(seconds)}.` : next_text);
  }

  /** Asked for when the live line tells of something; what is being typed stays. */
  #again(): void {
    clearTimeout(this.#waits);
    this.#waits = window.setTimeout(() => void this.#look(), LOOK_AFTER_MS);
  }

  async #look(): Promise<void> {
    try {
      const state = await get<State>(`/python/schedule/${this.#id}`);
      const isSame = JSON.stringify([state.schedule, state.exchange]) === JSON.stringify([this.#state.schedule, this.#state.exchange]);
      const draft = this.#isUnsaved() ? this.#read() : null;
      if (!isSame) this.#took(state);
      this.#state = state;
      this.#paintState();
      this.#paintHistory(state.history);
      if (isSame && !draft) this.#paintPreview(state.preview);
      if (isSame || !draft || state.locked) return;
      this.#fill(draft);
      this.#changed();
    } catch (problem) {
      toast((problem as ApiError).message, "error");
    }
  }

  /* The form */

  #fill(schedule: Draft): void {
    this.#kind = schedule.kind;
    this.#skipped = [...schedule.skipped];
    for (const name of DATES) this.#field(name).value = schedule[name] ?? "";
    for (const name of CHOICES) this.#field(name).value = schedule[name];
    this.#windows.replaceChildren();
    for (const window of schedule.windows) this.#addWindow(window);
    this.#show();
  }

  #field = (name: string) => find<HTMLInputElement>(`[name=${name}]`, this.#form);
  #rows = () => all(".window", this.#windows);

  #addWindow(value: Window): void {
    const copy = find<HTMLTemplateElement>("template[data-window]", this).content.cloneNode(true) as DocumentFragment;
    const row = find(".window", copy);
    writeWindow(row, value);
    this.#windows.append(row);
    number(this.#rows());
  }

  #read(): Draft {
    const isBare = this.#kind !== "windows";
    return {
      kind: this.#kind,
      windows: isBare ? [] : this.#rows().map(readWindow),
      first_day: this.#kind === "manual" ? null : this.#field("first_day").value || null,
      last_day: this.#kind === "manual" ? null : this.#field("last_day").value || null,
      skipped: isBare ? [] : [...this.#skipped].sort(),
      special_days: this.#field("special_days").value,
      late: this.#field("late").value,
      zone: this.#field("zone").value.trim(),
      exchange: this.#field("exchange").value,
    };
  }

  #isUnsaved = (): boolean => JSON.stringify(this.#read()) !== this.#saved;

  #paintUnsaved(): void {
    const isUnsaved = this.#isUnsaved();
    find("[data-unsaved]", this).hidden = !isUnsaved;
    for (const button of all<HTMLButtonElement>("[data-save], [data-reset]", this)) button.disabled = !isUnsaved;
  }

  /** What depends on what is chosen. */
  #show(): void {
    for (const part of all("[data-only]", this.#form)) part.hidden = !part.dataset.only?.split(" ").includes(this.#kind);
    for (const row of this.#rows()) showWindow(row);
    number(this.#rows());
    setText(find("[data-s=zone]", this), this.#field("zone").value);
    find("[data-skipped]", this).replaceChildren(...this.#skipped.map((day) => {
      const remove = make("button", { type: "button", class: "tag tag-button", "data-unskip": day, "aria-label": `Do not leave out ${day}` }, day, icon("x"));
      return make("li", {}, remove);
    }));
    for (const button of all("[data-preset]", this)) button.ariaPressed = String(this.#isPreset(this.#preset(button)));
  }

  #preset = (button: HTMLElement): Preset | undefined => this.#state.presets.find((one) => one.name === button.dataset.preset);

  #isPreset(preset: Preset | undefined): boolean {
    if (preset?.schedule.kind !== this.#kind) return false;
    const isThere = preset.exchange === null || preset.exchange === this.#field("exchange").value;
    return this.#kind !== "windows" || (isThere && JSON.stringify(preset.schedule.windows) === JSON.stringify(this.#rows().map(readWindow)));
  }

  #changed(): void {
    this.#show();
    this.#paintUnsaved();
    clearTimeout(this.#timer);
    this.#timer = window.setTimeout(() => void this.#preview(), PREVIEW_AFTER_MS);
  }

  #clicked(target: Element): void {
    const button = target.closest<HTMLElement>("button");
    if (!button) return;
    const { unskip } = button.dataset;
    const preset = this.#preset(button);
    if (preset) this.#begin(preset);
    else if (button.dataset.add !== undefined) this.#add();
    else if (button.dataset.remove !== undefined) this.#remove(button);
    else if (button.dataset.skip !== undefined) this.#skip();
    else if (unskip) this.#skipped = this.#skipped.filter((day) => day !== unskip);
    else if (button.dataset.reset !== undefined) this.#took(this.#state);
    else if (button.dataset.clear !== undefined) return this.#askToClear();
    else if (button.dataset.older !== undefined) return void this.#older(button);
    else return;
    this.#changed();
  }

  #begin({ schedule, exchange }: Preset): void {
    this.#kind = schedule.kind ?? "manual";
    if (exchange) this.#field("exchange").value = exchange;
    this.#windows.replaceChildren();
    for (const window of schedule.windows ?? []) this.#addWindow(window);
  }

  #add(): void {
    this.#kind = "windows";
    this.#addWindow(NEW_WINDOW);
    this.#show();
    find("[data-how]", this.#rows().at(-1) ?? this).focus();
  }

  #remove(button: HTMLElement): void {
    button.closest(".window")?.remove();
    find("[data-add]", find("div[data-only=windows]", this)).focus();
  }

  #skip(): void {
    const field = this.#field("skipped");
    if (field.value && !this.#skipped.includes(field.value)) this.#skipped = [...this.#skipped, field.value].sort();
    field.value = "";
    field.focus();
  }

  /* Preview */

  async #preview(): Promise<void> {
    const asked = ++this.#asked;
    try {
      const preview = await post<Preview>(`/python/schedule/${this.#id}/preview`, this.#read());
      if (asked === this.#asked) this.#paintPreview(preview);
    } catch (problem) {
      if (asked === this.#asked) this.#refuse({ field: "", window: null, message: (problem as ApiError).message });
    }
  }

  #paintPreview(preview: Preview): void {
    this.#refuse(preview.problem);
    const none = preview.problem ? "Nothing, until that is corrected."
      : this.#kind === "manual" ? "None: nothing starts it by the clock."
      : this.#kind === "always" ? "It runs around the clock."
      : preview.never ? "It never starts within a year: look at the days and the dates." : "None.";
    paintEntries(find("[data-entries]", this), preview.entries, none);
    setText(find("[data-s=of]", this), this.#isUnsaved() && !preview.problem ? "Of what is typed here. Times in IST." : "Times in IST.");
  }

  /** Says what is wrong where it is wrong; the focus stays where somebody is typing. */
  #refuse(problem: Problem | null): void {
    const rows = this.#rows();
    const row = problem?.window === null || problem === null ? undefined : rows[problem.window];
    for (const one of rows) {
      setText(find("[data-window-error]", one), one === row ? (problem?.message ?? "") : "");
      one.toggleAttribute("data-invalid", one === row);
    }
    for (const slot of all("[data-error]", this.#form)) {
      const field = problem && !row ? (this.#form.querySelector(`[data-error="${CSS.escape(problem.field)}"]`) ? problem.field : "") : null;
      setText(slot, slot.dataset.error === field ? (problem?.message ?? "") : "");
    }
  }

  /* Keeping */

  async #save(): Promise<void> {
    if (this.#state.locked || !this.#isUnsaved()) return;
    if (this.#kind === "manual" && this.#state.is_set) return this.#askToClear();
    const button = find("[data-save]", this);
    button.setAttribute("aria-busy", "true");
    clearTimeout(this.#timer);
    this.#asked += 1;
    try {
      const answer = await post<Answer>(`/python/schedule/${this.#id}`, this.#read());
      this.#took(answer);
      toast(answer.message);
    } catch (problem) {
      const { message, details } = problem as ApiError;
      const window = typeof details.window === "number" ? details.window : null;
      this.#refuse({ field: String(details.field ?? ""), window, message });
      toast(message, "warning");
    } finally {
      button.removeAttribute("aria-busy");
    }
  }

  #askToClear(): void {
    const dialog = openDialog("#clear-schedule-dialog");
    setText(find("[data-error]", dialog), "");
  }

  async #clear(): Promise<void> {
    const dialog = find<HTMLDialogElement>("#clear-schedule-dialog", this);
    const button = find(".btn-error", dialog);
    button.setAttribute("aria-busy", "true");
    try {
      const answer = await post<Answer>(`/python/unschedule/${this.#id}`);
      dialog.close();
      this.#took(answer);
      toast(answer.message);
    } catch (problem) {
      setText(find("[data-error]", dialog), (problem as ApiError).message);
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

  /* History */

  #paintHistory({ occurrences, older }: History): void {
    const none = make("p", { class: "sub px-3.5 py-10 text-center" }, "Nothing was due yet. Every expected start is written down here: started, blocked, missed or left out, and why.");
    find("[data-history]", this).replaceChildren(occurrences.length ? historyTable(occurrences) : none);
    find("[data-older-bar]", this).hidden = older === null;
    this.#state = { ...this.#state, history: { occurrences, older } };
  }

  async #older(button: HTMLElement): Promise<void> {
    const { older } = this.#state.history;
    if (older === null) return;
    button.setAttribute("aria-busy", "true");
    try {
      this.#paintHistory(await get<History>(`/python/schedule/${this.#id}/history?limit=${older}`));
    } catch (problem) {
      toast((problem as ApiError).message, "error");
    } finally {
      button.removeAttribute("aria-busy");
    }
  }
}
customElements.define("strategy-schedule", StrategySchedule);
