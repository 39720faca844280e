/** Starts that will come, and what became of those that have. */
import { make } from "./dom";
import { count } from "./format";

export type Entry = {
  key: string; day: string; span: string; start_at: string; skipped: boolean; sentence: string; knowledge: string; in: string;
};
export type Occurrence = {
  key: string; at: string; at_text: string; state: string; word: string; sentence: string; run_id: string | null; late_ms: number | null;
};

export function paintEntries(list: HTMLElement, entries: Entry[], none: string): void {
  const items = entries.map((one) => make("li", one.skipped ? { "data-skipped": true } : {},
    make("span", { class: "day" }, one.day),
    make("span", { class: "span" }, one.span),
    make("span", { class: "in" }, one.skipped ? "left out" : one.in),
    ...(one.sentence ? [make("span", { class: "why" }, one.sentence)] : [])));
  list.replaceChildren(...(items.length ? items : [make("li", { class: "none" }, none)]));
}

/** `120 ms`, `1.2 s`, `2 h 5 min`. */
export function lateness(late: number | null): string {
  if (late === null) return "–";
  if (late < 1000) return `${count(Math.max(0, late))} ms`;
  if (late < 10_000) return `${(late / 1000).toFixed(1)} s`;
  const seconds = Math.round(late / 1000);
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  return minutes < 60 ? `${minutes} min ${seconds % 60} s` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** A state as a word, a colour and a shape. */
export const badge = (state: string, word: string): HTMLElement => make("span", { class: "occ", "data-state": state }, word);

const HEADS: [string, string][] = [["Start", ""], ["Result", ""], ["Late by", "num"], ["Why", ""], ["Run", "end"]];

export function historyTable(found: Occurrence[]): HTMLElement {
  const heads = HEADS.map(([text, kind]) => make("th", { role: "columnheader", class: kind }, text));
  return make("table", { role: "table", class: "grid-table occurrences", "aria-label": "What became of each start" },
    make("thead", { role: "rowgroup" }, make("tr", { role: "row" }, ...heads)),
    make("tbody", { role: "rowgroup" }, ...found.map(row)));
}

function row(one: Occurrence): HTMLElement {
  const cell = (content: Node | string, kind = "") => make("td", { role: "cell", class: kind }, content);
  const run = one.run_id === null ? "" : make("a", { class: "btn btn-xs btn-quiet", href: `#runs:${one.run_id}`, "aria-label": `Run of ${one.at_text}` }, "Run");
  return make("tr", { role: "row" },
    cell(make("time", { datetime: one.at, class: "tabular-nums" }, one.at_text), "c-at"),
    cell(badge(one.state, one.word), "c-state"),
    cell(one.state === "started" ? lateness(one.late_ms) : "–", "num c-late"),
    cell(one.sentence, "c-why"),
    cell(run, "end c-run"));
}
