/** The runs of one strategy, newest first, and what the overview says of the latest. */
import { all, find, make, setText } from "./dom";
import { duration, megabytes, moment } from "./format";
import { live } from "./live";

export type Run = {
  id: string; state: string; created_at: string; started_at: string | null; ended_at: string | null;
  outcome: string | null; reason: string; exit_code: number | null; is_failure: boolean;
  peak_memory_bytes: number | null; version: string; has_log: boolean;
};
type Message = { reset?: boolean; runs: Run[] };

const HEADS: [string, string][] = [["Started", ""], ["Outcome", ""], ["Duration", "num c-wide"], ["Exit code", "num c-wide"], ["Peak memory", "num c-wide"], ["Version", "c-wide"], ["", "end"]];
const BARS = 24;

const isLive = (run: Run) => run.ended_at === null;

function length(run: Run): string {
  const begin = run.started_at ?? run.created_at;
  const end = run.ended_at ? new Date(run.ended_at).getTime() : Date.now();
  return duration((end - new Date(begin).getTime()) / 1000);
}

function ending(run: Run): "live" | "failed" | "stopped" | "ok" {
  if (isLive(run)) return "live";
  return run.is_failure ? "failed" : run.outcome?.startsWith("exited") ? "ok" : "stopped";
}

class RunHistory extends HTMLElement {
  #runs: Run[] = [];
  #body = make("tbody", { role: "rowgroup" });
  #table = make("table", { role: "table", class: "grid-table runs", "aria-label": "Runs" });
  #none = make("p", { class: "sub px-3.5 py-10 text-center" }, "No runs yet. Each start makes one, and each ends with exactly one outcome.");
  #page = this.closest<HTMLElement>("[data-strategy]");

  connectedCallback(): void {
    this.#runs = JSON.parse(find("script", this).textContent || "[]") as Run[];
    const heads = HEADS.map(([text, kind]) => make("th", { role: "columnheader", class: kind }, text || make("span", { class: "sr-only" }, "Log")));
    this.#table.append(make("thead", { role: "rowgroup" }, make("tr", { role: "row" }, ...heads)), this.#body);
    this.replaceChildren(make("div", { class: "@container" }, this.#table, this.#none));
    this.#paint();
    live.on<Message>(`runs:${this.#page?.dataset.strategy}`, ({ reset, runs }) => {
      const changed = new Set(runs.map((run) => run.id));
      this.#runs = reset ? runs : [...runs, ...this.#runs.filter((run) => !changed.has(run.id))];
      this.#paint();
    });
    setInterval(() => {
      for (const run of this.#runs.filter(isLive)) setText(this.#body.querySelector(`[data-length="${run.id}"]`), length(run));
    }, 1000);
  }

  #paint(): void {
    this.#body.replaceChildren(...this.#runs.map((run) => this.#row(run)));
    this.#table.hidden = this.#runs.length === 0;
    this.#none.hidden = this.#runs.length > 0;
    this.#paintOverview();
  }

  #row(run: Run): HTMLTableRowElement {
    const cell = (content: Node | string, kind = "") => make("td", { role: "cell", class: kind }, content);
    const begin = run.started_at ?? run.created_at;
    const tone = { live: "text-primary", failed: "text-error", stopped: "text-muted", ok: "text-success" }[ending(run)];
    const log = make("a", { class: "btn btn-xs btn-quiet", href: `/python/log/${encodeURIComponent(this.#page?.dataset.strategy ?? "")}/${run.id}`, download: "", "aria-label": `Log of the run of ${moment(new Date(begin))}` }, "Log");
    const row = make("tr", { role: "row" },
      cell(make("time", { datetime: begin, class: "tabular-nums text-xs" }, moment(new Date(begin)))),
      cell(make("span", { class: `font-medium ${tone}` }, run.outcome ?? run.state)),
      cell(make("span", { "data-length": run.id }, length(run)), "num c-wide"),
      cell(run.exit_code === null ? "–" : String(run.exit_code), "num c-wide"),
      cell(megabytes(run.peak_memory_bytes), "num c-wide"),
      cell(make("code", { class: "text-xs" }, run.version.slice(0, 7)), "c-wide"),
      cell(run.has_log ? log : "", "end"));
    if (run.reason) row.append(cell(run.reason, "reason"));
    return row;
  }

  #paintOverview(): void {
    const [latest] = this.#runs;
    setText(document.querySelector("[data-run=peak]"), megabytes(latest?.peak_memory_bytes));
    const ended = this.#runs.find((run) => run.outcome !== null);
    setText(document.querySelector("[data-run=outcome]"), ended?.outcome ?? "–");
    for (const bars of all("[data-runbars]")) {
      const runs = this.#runs.slice(0, BARS).reverse();
      bars.replaceChildren(...runs.map((run) => make("i", { "data-end": ending(run), title: `${moment(new Date(run.created_at))}: ${run.outcome ?? run.state}` })));
      const failed = runs.filter((run) => ending(run) === "failed").length;
      bars.ariaLabel = runs.length ? `${runs.length} latest runs, ${failed} failed` : "No runs yet";
      if (!runs.length) bars.replaceChildren("–");
    }
  }
}
customElements.define("run-history", RunHistory);
