/** A log's lines in memory: the last 50,000, whatever a strategy prints. */
import { live } from "./live";

export const CAPACITY = 50_000;

export type Level = "error" | "warning" | "info" | "debug" | "";
export type Line = { number: number; at: string; text: string; level: Level };
type Message = { reset?: boolean; lines: string[]; truncated?: boolean };

const RANKS: Record<Level, number> = { debug: 0, "": 1, info: 1, warning: 2, error: 3 };
const STAMP = /^(?:(\d{4}-\d\d-\d\d) )(\d\d:\d\d:\d\d)(?:[.,]\d+)? IST ?/;
const WORD = /\b(?:(CRITICAL|ERROR|FATAL)|(WARN(?:ING)?)|(INFO)|(DEBUG))\b/;
const TRACE = /^(?:Traceback \(most recent call last\):| {2}File "|\w*(?:Error|Exception|Interrupt|Exit)\b)/;

export const rank = (level: Level): number => RANKS[level];

export function parseLine(raw: string, number: number): Line {
  const stamp = STAMP.exec(raw);
  const text = stamp ? raw.slice(stamp[0].length) : raw;
  const word = WORD.exec(text.slice(0, 200));
  const level = TRACE.test(text) || word?.[1] ? "error" : word?.[2] ? "warning" : word?.[3] ? "info" : word?.[4] ? "debug" : "";
  return { number, at: stamp?.[2] ?? "", text, level };
}

type Change = { isReset: boolean; added: number };
type Listener = (change: Change) => void;

/** The lines of one strategy's newest run, shared by every view of the page. */
export class LogLines {
  lines: Line[] = [];
  /** Whether the log has more before the first of `lines`. */
  isTruncated = false;
  #listeners = new Set<Listener>();
  #next = 1;

  constructor(strategyId: string) {
    live.on<Message>(`log:${strategyId}`, (message) => this.#heard(message));
  }

  listen(listener: Listener): void {
    this.#listeners.add(listener);
    listener({ isReset: true, added: this.lines.length });
  }

  #heard({ reset = false, lines = [], truncated = false }: Message): void {
    if (reset) {
      this.lines = [];
      this.isTruncated = truncated;
      this.#next = 1;
    }
    for (const raw of lines) this.lines.push(parseLine(raw, this.#next++));
    if (this.lines.length > CAPACITY) {
      this.lines.splice(0, this.lines.length - CAPACITY);
      this.isTruncated = true;
    }
    for (const listener of this.#listeners) listener({ isReset: reset, added: lines.length });
  }
}

const known = new Map<string, LogLines>();

export function linesOf(element: Element): LogLines {
  const id = element.closest<HTMLElement>("[data-strategy]")?.dataset.strategy ?? "";
  const lines = known.get(id) ?? new LogLines(id);
  known.set(id, lines);
  return lines;
}
