/** The page "Tomorrow": what starts on a day, what does not and why, and what became of it. */
import { get } from "./api";
import { now } from "./clock";
import { all, find, make, setText } from "./dom";
import { until } from "./format";
import { live } from "./live";
import type { Row, RowChange } from "./row";
import { badge, lateness } from "./schedule-entries";

type Strategy = { strategy_id: string; name: string; owner: string; exchange: string; schedule: string; phase: string };
type Start = Strategy & {
  start_at: string; span: string; state: string; word: string; sentence: string; knowledge: string;
  run_id: string | null; late_ms: number | null; gates: { code: string; sentence: string }[];
};
type Agenda = { date: string; starts: Start[]; skipped: Start[]; always: Strategy[] };
type Message = { rows?: Row[]; changes?: RowChange[]; removed?: string[] };

const ASK_AFTER_MS = 1000;

class ScheduleDay extends HTMLElement {
  #agenda = JSON.parse(find("[data-agenda]", this).textContent || "{}") as Agenda;
  #hasOwners = this.dataset.owners !== undefined;
  #timer = 0;

  connectedCallback(): void {
    const form = find<HTMLFormElement>("[data-day-form]", this);
    find<HTMLInputElement>("input", form).onchange = () => form.reportValidity() && form.submit();
    this.#paint();
    setInterval(() => this.#tick(), 1000);
    live.on<Message>("strategies", (data) => this.#heard(data));
    live.on<unknown>("broker", () => this.#ask()); // gates open and close
  }

  /** Something became of a start, or a schedule was changed; before a snapshot anything may have. */
  #heard({ rows, changes, removed }: Message): void {
    if (rows || removed?.length || changes?.some(isAboutSchedule)) this.#ask();
  }

  /** The day is asked for anew, at most once a second however much happens. */
  #ask(): void {
    this.#timer ||= window.setTimeout(() => {
      this.#timer = 0;
      void this.#again();
    }, ASK_AFTER_MS);
  }

  async #again(): Promise<void> {
    try {
      const found = await get<Agenda>(`/schedule/day?date=${encodeURIComponent(this.dataset.day ?? "")}`);
      if (wordsOf(found) === wordsOf(this.#agenda)) return; // the focus stays where it is
      this.#agenda = found;
      this.#paint();
    } catch {
      // the banner says that the server cannot be reached; the next message asks again
    }
  }

  #paint(): void {
    const { starts, skipped, always } = this.#agenda;
    const parts = [
      starts.length ? panel("Starts", count(starts.length), this.#table(starts, "Starts")) : null,
      skipped.length ? panel("Left out", "These windows do not come on that day.", this.#table(skipped, "Left out")) : null,
      always.length ? panel("Around the clock", "Wanted at every moment.", this.#list(always)) : null,
    ].filter((part) => part !== null);
    find("[data-parts]", this).replaceChildren(...parts);
    find("[data-empty]", this).hidden = parts.length > 0;
    this.#tick();
  }

  #tick(): void {
    for (const cell of all("[data-starts-at]", this)) {
      const seconds = (Number(cell.dataset.startsAt) - now()) / 1000;
      setText(cell, seconds > 0 ? until(seconds) : "");
    }
  }

  #table(found: Start[], label: string): HTMLElement {
    const heads = [["Time", ""], ["Strategy", ""], ["Exchange", "c-exch"], ["Result", ""], ["", ""]] as const;
    const head = heads.map(([text, kind]) => make("th", { role: "columnheader", class: kind }, text || make("span", { class: "sr-only" }, "Why")));
    return make("div", { class: "@container" }, make("table", { role: "table", class: "grid-table agenda", "aria-label": label },
      make("thead", { role: "rowgroup" }, make("tr", { role: "row" }, ...head)),
      make("tbody", { role: "rowgroup" }, ...found.map((one) => this.#row(one)))));
  }

  #row(one: Start): HTMLElement {
    const cell = (kind: string, ...content: (Node | string)[]) => make("td", { role: "cell", class: kind }, ...content);
    const at = new Date(one.start_at).getTime();
    const isPlanned = one.state === "planned";
    const time = make("time", { datetime: one.start_at, class: "tabular-nums font-medium" }, one.span);
    return make("tr", { role: "row", "data-state": one.state },
      cell("c-at", time, isPlanned ? make("span", { class: "sub block", "data-starts-at": at }) : ""),
      cell("c-name", this.#link(one)),
      cell("c-exch", make("span", { class: "tag" }, one.exchange)),
      cell("c-state", badge(one.state, one.word), ...this.#more(one)),
      cell("c-why", ...this.#why(one)));
  }

  #link(one: Strategy): HTMLElement {
    const path = `/python/${encodeURIComponent(one.strategy_id)}#schedule`;
    const owner = this.#hasOwners ? [make("span", { class: "sub block truncate" }, one.owner)] : [];
    return make("div", { class: "min-w-0" }, make("a", { href: path, class: "font-medium hover:underline block truncate" }, one.name), ...owner);
  }

  #more(one: Start): HTMLElement[] {
    if (one.state !== "started") return [];
    const said = one.late_ms === null ? [] : [make("span", { class: "sub whitespace-nowrap" }, `${lateness(one.late_ms)} late`)];
    if (one.run_id) said.push(make("a", { class: "sub underline", href: `/python/${encodeURIComponent(one.strategy_id)}#runs:${one.run_id}` }, "run"));
    return said;
  }

  #why(one: Start): HTMLElement[] {
    const gates = one.gates.map((gate) => make("span", { class: "gate", "data-gate": gate.code }, gate.sentence));
    if (one.state === "planned" && !gates.length) gates.push(make("span", { class: "gates-open" }, "All gates are open now."));
    const isSaid = one.gates.some((gate) => gate.sentence === one.sentence);
    return one.sentence && !isSaid ? [make("span", { class: "block" }, one.sentence), ...gates] : gates;
  }

  #list(found: Strategy[]): HTMLElement {
    return make("ul", { class: "always" }, ...found.map((one) => make("li", {}, this.#link(one), make("span", { class: "tag" }, one.exchange), make("span", { class: "sub" }, one.phase.replace("_", " ")))));
  }
}

const wordsOf = ({ starts, skipped, always }: Agenda): string => JSON.stringify([starts, skipped, always]);
const count = (starts: number): string => (starts === 1 ? "One start." : `${starts} starts.`);
const isAboutSchedule = (change: RowChange): boolean =>
  change.name !== undefined || change.schedule !== undefined || change.next_start !== undefined || change.last_start !== undefined || change.phase !== undefined;

function panel(title: string, said: string, content: HTMLElement): HTMLElement {
  const id = `part-${title.toLowerCase().replaceAll(" ", "-")}`;
  return make("section", { class: "panel overflow-hidden", "aria-labelledby": id },
    make("div", { class: "panel-head" }, make("h2", { id }, title), make("span", { class: "sub" }, said)), content);
}

customElements.define("schedule-day", ScheduleDay);
