/** The runs of one strategy, newest first, and what the overview says of the latest. */
import { type Enforced, paintConfinement } from "./confinement";
import { all, find, make, setText } from "./dom";
import { duration, megabytes, moment } from "./format";
import { live } from "./live";
import { runLines } from "./run-lines";

export type Run = {
  id: string; state: string; created_at: string; started_at: string | null; ended_at: string | null;
  outcome: string | null; reason: string; attempt: number; stopped_by: string; exit_code: number | null; is_failure: boolean;
  peak_memory_bytes: number | null; cpu_seconds: number | null; version: string; has_log: boolean; enforced: Enforced[];
};
type Message = { reset?: boolean; runs: Run[] };

const HEADS: [string, string][] = [["Started", ""], ["Outcome", ""], ["Duration", "num c-wide"], ["CPU time", "num c-wide"], ["Exit code", "num c-wide"], ["Peak memory", "num c-wide"], ["Version", "c-wide"], ["", "end"]];
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

/** What stands for a figure that nobody has: of a run that lives or never ran there is none yet. */
const unmeasured = (run: Run | undefined) => (run?.started_at && run.ended_at ? "not known" : "–");

/** `0.42 s`, `12.3 s`, `5 min 10 s`. */
function cpuTime(run: Run): string {
  const seconds = run.cpu_seconds;
  if (seconds === null) return unmeasured(run);
  return seconds < 60 ? `${seconds.toFixed(seconds < 10 ? 2 : 1)} s` : duration(seconds);
}

function peakMemory(run: Run | undefined): string {
  return run?.peak_memory_bytes ? megabytes(run.peak_memory_bytes) : unmeasured(run);
}

/** The line below a run: which restart it was, who ended it, and why it ended. */
function account({ attempt, stopped_by, reason }: Run): string {
  return [attempt ? `Restart ${attempt}` : "", stopped_by ? `Stopped by ${stopped_by}` : "", reason].filter(Boolean).join(" · ");
}

class RunHistory extends HTMLElement {
  #runs: Run[] = [];
  #body = make("tbody", { role: "rowgroup" });
  #table = make("table", { role: "table", class: "grid-table runs", "aria-label": "Runs" });
  #none = make("p", { class: "sub px-3.5 py-10 text-center" }, "No runs yet. Each start makes one, and each ends with exactly one outcome.");
  #page = this.closest<HTMLElement>("[data-strategy]");
  /** The run whose lines are shown, and the box with them. */
  #open: { id: string; box: HTMLElement } | null = null;
  #older = make("div");

  connectedCallback(): void {
    this.#runs = JSON.parse(find("script", this).textContent || "[]") as Run[];
    const heads = HEADS.map(([text, kind]) => make("th", { role: "columnheader", class: kind }, text || make("span", { class: "sr-only" }, "Log")));
    this.#table.append(make("thead", { role: "rowgroup" }, make("tr", { role: "row" }, ...heads)), this.#body);
    this.replaceChildren(make("div", { class: "@container" }, this.#table, this.#none, this.#older));
    this.#paint();
    addEventListener("hashchange", () => this.#follow());
    this.#follow();
    live.on<Message>(`runs:${this.#page?.dataset.strategy}`, ({ reset, runs }) => {
      const changed = new Set(runs.map((run) => run.id));
      this.#runs = reset ? runs : [...runs, ...this.#runs.filter((run) => !changed.has(run.id))];
      this.#paint();
    });
    setInterval(() => {
      for (const run of this.#runs.filter(isLive)) setText(this.#body.querySelector(`[data-length="${run.id}"]`), length(run));
    }, 1000);
  }

  /** `#runs:RUN@BYTE` opens that run's lines around that place, `#runs:RUN` its last ones. */
  #follow(): void {
    const place = /^#runs:([0-9a-f]{16})(?:@(\d+))?$/.exec(location.hash);
    if (place?.[1]) this.#show(place[1], place[2]);
  }

  #show(id: string, at?: string): void {
    this.#open = { id, box: runLines(this.#page?.dataset.strategy ?? "", id, at) };
    this.#paint();
    this.#open.box.scrollIntoView({ block: "nearest" });
  }

  #toggle(id: string): void {
    if (this.#open?.id !== id) return this.#show(id);
    this.#open = null;
    this.#paint();
  }

  #paint(): void {
    const scrolled = this.#open?.box.scrollTop ?? 0; // lost when it is moved
    const isListed = this.#runs.some((run) => run.id === this.#open?.id);
    this.#older.replaceChildren(...(this.#open && !isListed ? [this.#open.box] : []));
    this.#body.replaceChildren(...this.#runs.map((run) => this.#row(run)));
    this.#table.hidden = this.#runs.length === 0;
    this.#none.hidden = this.#runs.length > 0;
    if (this.#open && scrolled) this.#open.box.scrollTop = scrolled;
    this.#paintOverview();
  }

  #row(run: Run): HTMLTableRowElement {
    const cell = (content: Node | string, kind = "") => make("td", { role: "cell", class: kind }, content);
    const begin = run.started_at ?? run.created_at;
    const tone = { live: "text-primary", failed: "text-error", stopped: "text-muted", ok: "text-success" }[ending(run)];
    const log = make("a", { class: "btn btn-xs btn-quiet", href: `/python/log/${encodeURIComponent(this.#page?.dataset.strategy ?? "")}/${run.id}`, download: "", "aria-label": `Log of the run of ${moment(new Date(begin))}` }, "Log");
    const isOpen = this.#open?.id === run.id;
    const outcome = make("button", { class: `font-medium ${tone} hover:underline`, "aria-expanded": String(isOpen), "data-lines": run.id, title: "Last lines" }, run.outcome ?? run.state);
    outcome.onclick = () => this.#toggle(run.id);
    const row = make("tr", { role: "row" },
      cell(make("time", { datetime: begin, class: "tabular-nums text-xs" }, moment(new Date(begin)))),
      cell(outcome),
      cell(make("span", { "data-length": run.id }, length(run)), "num c-wide"),
      cell(cpuTime(run), "num c-wide"),
      cell(run.exit_code === null ? "–" : String(run.exit_code), "num c-wide"),
      cell(peakMemory(run), "num c-wide"),
      cell(make("code", { class: "text-xs" }, run.version.slice(0, 7)), "c-wide"),
      cell(run.has_log ? log : make("span", { class: "sub text-xs", title: "Its log was removed." }, "removed"), "end"));
    const said = account(run);
    if (said) row.append(cell(said, "reason"));
    if (this.#open && isOpen) row.append(cell(this.#open.box, "lines"));
    return row;
  }

  #paintOverview(): void {
    const [latest] = this.#runs;
    paintConfinement(latest);
    setText(document.querySelector("[data-run=peak]"), peakMemory(latest));
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
