/** The lines of any run, the last ones or those around a place that a search led to. */
import { get } from "./api";
import { make } from "./dom";
import { parseLine } from "./log-lines";

type Answer = { lines: string[]; offsets: number[]; kept: boolean; has_log: boolean };

/** What is said above the lines; nothing where they are simply the log's. */
function said({ lines, kept, has_log }: Answer): string {
  if (!lines.length) return has_log ? "Nothing was written." : "The log was removed, and no lines of it were kept.";
  return kept ? "The log was removed. These are the last lines before the end." : "";
}

function lineOf(raw: string, number: number, isHit: boolean): HTMLElement {
  const line = parseLine(raw, number);
  return make("div", { class: `line${isHit ? " hit" : ""}` }, make("span", { class: "at" }, line.at), make("span", { class: line.level }, line.text));
}

/** A box that fills itself; `at` is the byte at which the wanted line begins. */
export function runLines(strategyId: string, runId: string, at?: string): HTMLElement {
  const box = make("div", { class: "log log-short log-lines", tabindex: 0, role: "region", "aria-label": "Lines of the run", "aria-busy": "true" });
  const path = `/python/lines/${encodeURIComponent(strategyId)}/${encodeURIComponent(runId)}`;
  get<Answer>(at ? `${path}?at=${at}` : path)
    .then((answer) => {
      const words = said(answer);
      const lines = answer.lines.map((raw, index) => lineOf(raw, index, at !== undefined && answer.offsets[index] === Number(at)));
      box.replaceChildren(...(words ? [make("p", { class: "sub px-3.5 py-2 font-sans" }, words)] : []), ...lines);
      const hit = lines.find((line) => line.classList.contains("hit"));
      box.scrollTop = hit ? hit.offsetTop - box.clientHeight / 2 : box.scrollHeight;
    })
    .catch((problem: Error) => box.replaceChildren(make("p", { class: "sub px-3.5 py-2 font-sans", role: "alert" }, problem.message)))
    .finally(() => box.setAttribute("aria-busy", "false"));
  return box;
}
