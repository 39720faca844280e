/** What a run uses: processor and memory of the last half hour as lines, and what happened. */
import { find, make, setText } from "./dom";
import { megabytes, moment } from "./format";
import { live } from "./live";

type Point = { at: number; cpu: number | null; memory: number; threads: number; written: number };
type Now = {
  cpu: number | null; memory: number; memory_kind: "pss" | "cgroup" | "anonymous";
  threads: number; processes: number; folder: number; log: number;
};
type Happened = { at: number; kind: string; sentence: string };
type Figures = { run_id: string | null; is_live: boolean; points: Point[]; now: Now | null; events: Happened[] };
type Message = ({ reset: true } & Figures) | { reset?: undefined; point: Point | null; now: Now | null };

const WINDOW_MS = 30 * 60_000;
const [WIDTH, HEIGHT] = [240, 36];
const GAP_MS = 120_000;
const SVG = "http://www.w3.org/2000/svg";
const KINDS: Record<Now["memory_kind"], string> = {
  pss: "its own pages, and its share of common ones",
  cgroup: "what its control group holds",
  anonymous: "resident memory that is in no file, pages shared with the warm process among it",
};

const percent = (share: number | null): string => (share === null ? "–" : `${share.toFixed(share < 10 ? 1 : 0)} %`);
const counted = (count: number, one: string, many = `${one}s`): string => `${count} ${count === 1 ? one : many}`;

class UsagePanel extends HTMLElement {
  #points: Point[] = [];

  connectedCallback(): void {
    const told = find("script", this).textContent ?? "{}";
    this.#begin(JSON.parse(told) as Figures);
    live.on<Message>(`usage:${this.dataset.strategy ?? ""}`, (message) => {
      if (message.reset) this.#begin(message);
      else this.#add(message.point, message.now);
    });
    this.closest("strategy-page")?.addEventListener("phase-shown", (event) => {
      if (!(event as CustomEvent<{ isLive: boolean }>).detail.isLive) this.#paintNow(null);
    });
  }

  #begin({ points, now, events }: Figures): void {
    this.#points = points;
    this.#paintEvents(events);
    this.#paint(now);
  }

  #add(point: Point | null, now: Now | null): void {
    if (point && point.at > (this.#points.at(-1)?.at ?? 0)) this.#points.push(point);
    const since = (this.#points.at(-1)?.at ?? 0) - WINDOW_MS;
    while ((this.#points[0]?.at ?? Infinity) < since) this.#points.shift();
    this.#paint(now);
  }

  #paint(now: Now | null): void {
    this.#paintNow(now);
    this.#line("cpu", "CPU", (point) => point.cpu, percent, 25);
    this.#line("memory", "Memory", (point) => point.memory, megabytes, 1_048_576);
  }

  #paintNow(now: Now | null): void {
    const cell = (name: string) => find(`[data-usage=${name}]`, this);
    setText(cell("cpu"), now ? percent(now.cpu) : "–");
    setText(cell("memory"), now ? megabytes(now.memory) : "–");
    cell("memory").title = now ? KINDS[now.memory_kind] : "";
    setText(cell("rest"), now
      ? [
        counted(now.threads, "thread"), counted(now.processes, "process", "processes"),
        `folder ${megabytes(now.folder)}`, `log ${megabytes(now.log)}`,
      ].join(" · ")
      : "Measured while a run lives.");
  }

  #line(name: string, word: string, value: (point: Point) => number | null, shown: (value: number) => string, least: number): void {
    const box = find(`[data-spark=${name}]`, this);
    const known = this.#points.filter((point) => value(point) !== null);
    const highest = Math.max(least, ...known.map((point) => value(point) ?? 0));
    const last = known.at(-1);
    const top = Math.max(0, ...known.map((point) => value(point) ?? 0));
    box.setAttribute("aria-label", last
      ? `${word} of the last 30 minutes: ${shown(value(last) ?? 0)} at the end, ${shown(top)} at most`
      : `${word}: not measured yet`);
    const svg = document.createElementNS(SVG, "svg");
    svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
    svg.setAttribute("preserveAspectRatio", "none");
    svg.setAttribute("aria-hidden", "true");
    for (const part of pieces(this.#points, value)) {
      const path = trace(part, this.#points.at(-1)?.at ?? 0, value, highest);
      svg.append(shape("spark-area", `${path.line} L${path.end} ${HEIGHT} L${path.start} ${HEIGHT} Z`), shape("spark-line", path.line));
    }
    box.replaceChildren(svg);
  }

  #paintEvents(events: Happened[]): void {
    const list = find("[data-usage-events]", this);
    list.hidden = events.length === 0;
    list.replaceChildren(...events.slice(0, 5).map((event) =>
      make("li", { "data-kind": event.kind }, make("time", { class: "sub tabular-nums" }, moment(new Date(event.at))), ` ${event.sentence}`)));
  }
}

/** Stretches without a gap: where nothing was measured there is no line. */
function pieces(points: Point[], value: (point: Point) => number | null): Point[][] {
  const found: Point[][] = [];
  let part: Point[] = [];
  for (const point of points) {
    const before = part.at(-1);
    if (value(point) === null || (before && point.at - before.at > GAP_MS)) {
      if (part.length > 1) found.push(part);
      part = [];
    }
    if (value(point) !== null) part.push(point);
  }
  if (part.length > 1) found.push(part);
  return found;
}

function trace(part: Point[], end: number, value: (point: Point) => number | null, highest: number): { line: string; start: string; end: string } {
  const x = (point: Point) => (WIDTH * (1 - (end - point.at) / WINDOW_MS)).toFixed(1);
  const y = (point: Point) => (HEIGHT - 1 - (HEIGHT - 3) * ((value(point) ?? 0) / highest)).toFixed(1);
  const line = part.map((point, index) => `${index ? "L" : "M"}${x(point)} ${y(point)}`).join(" ");
  const [first, last] = [part[0], part.at(-1)];
  return { line, start: first ? x(first) : "0", end: last ? x(last) : "0" };
}

function shape(name: string, path: string): SVGPathElement {
  const made = document.createElementNS(SVG, "path");
  made.setAttribute("class", name);
  made.setAttribute("d", path);
  return made;
}

customElements.define("usage-panel", UsagePanel);
