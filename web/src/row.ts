/** A strategy's row as the server sends it, and how it is painted wherever it stands on a page. */
import { all, setText } from "./dom";
import { now } from "./clock";
import { count, direction, duration, inr, moment, upcoming } from "./format";

export type Phase = "pending" | "waiting" | "starting" | "running" | "stopping" | "stopped" | "backing_off" | "error";
export type Group = "running" | "scheduled" | "waiting" | "error" | "stopped";
/** The word of a badge: a phase, or that a stopped strategy will start by the clock. */
export type Badge = Phase | "scheduled";
export type Restart = { attempt: number; most: number; next_at: string | null; after: string };
export type Problem = { line: number; column: number; message: string; file?: string };

export type HealthFlag = { kind: string; sentence: string };
/** What a start waits for: when it opens by itself, and what a page can offer to open it. */
export type ClosedGate = { code: string; sentence: string; until: string | null; action: "login" | "download" | "release" | null };

/** What became of the newest start that a schedule expected. */
export type LastStart = { state: string; at: string; sentence: string };

export type Row = {
  id: string; name: string; file_name: string; exchange: string; mode: string; phase: Phase;
  sentence: string; restart: Restart | null; schedule: string; next_start: string | null; last_start: LastStart | null; since: string | null; run_id: string | null; pid: number | null;
  flags: HealthFlag[];
  gates: ClosedGate[];
  outcome: string | null; pnl: string | null; problem: Problem | null; order_count: number | null;
};
/** What a message carries: a whole row, or the id and what changed. */
export type RowChange = Partial<Row> & { id: string };

const GROUPS: Record<Badge, Group> = {
  scheduled: "scheduled",
  starting: "running", running: "running", stopping: "running",
  pending: "waiting", waiting: "waiting", backing_off: "waiting", error: "error", stopped: "stopped",
};
const LIVE: readonly Phase[] = ["starting", "running", "stopping"];

export const groupOf = (badge: Badge): Group => GROUPS[badge];
export const badgeOf = (phase: Phase, next: string | null | undefined): Badge => (phase === "stopped" && next ? "scheduled" : phase);
/** The badge of a row, by what stands in its markup. */
export const badgeIn = (root: HTMLElement): Badge => badgeOf(root.dataset.phase as Phase, root.dataset.next);
export const isLive = (phase: Phase): boolean => LIVE.includes(phase);
export const phaseWord = (phase: Badge): string =>
  phase.charAt(0).toUpperCase() + phase.slice(1).replace("_", " ");
export const startWord = (phase: Phase): string => (phase === "backing_off" ? "Start now" : "Start");
export function sinceWord({ phase, outcome }: Pick<Row, "phase"> & Partial<Row>): string {
  if (phase === "running") return "Up for";
  if (phase === "stopped" && outcome === null) return "Uploaded";
  return isLive(phase) || groupOf(phase) === "waiting" ? "Since" : "Ended";
}

type Cells = Map<string, HTMLElement[]>;
const cellsOf = new WeakMap<HTMLElement, Cells>();

function cells(root: HTMLElement): Cells {
  let known = cellsOf.get(root);
  if (!known) {
    known = new Map();
    for (const cell of all("[data-f]", root)) {
      const name = cell.dataset.f ?? "";
      known.set(name, [...(known.get(name) ?? []), cell]);
    }
    cellsOf.set(root, known);
  }
  return known;
}

const restartOf = new WeakMap<HTMLElement, Restart>();

/** `Restarting in 12 s (attempt 3 of 5)`, while one is waited for. */
export function restartWord({ attempt, most, next_at }: Restart, now = Date.now()): string {
  const seconds = next_at === null ? 0 : (new Date(next_at).getTime() - now) / 1000;
  const when = seconds > 0 ? `Restarting in ${duration(Math.ceil(seconds))}` : "Restarting";
  return `${when} (attempt ${attempt} of ${most})`;
}

function paintRestart(root: HTMLElement): void {
  const restart = restartOf.get(root);
  if (!restart || root.dataset.phase !== "backing_off") return;
  const word = `${restartWord(restart)}. ${restart.after}`;
  for (const name of ["note", "sentence"]) cells(root).get(name)?.forEach((cell) => setText(cell, word));
}

/** Writes what `change` carries into the cells of `root`; untouched cells stay as they are. */
export function paintRow(root: HTMLElement, change: RowChange): void {
  const known = cells(root);
  const each = (name: string, paint: (cell: HTMLElement) => void) => known.get(name)?.forEach(paint);
  const text = (name: string, value: string) => each(name, (cell) => setText(cell, value));
  if (change.next_start !== undefined) {
    root.dataset.next = change.next_start ?? "";
    each("next", (cell) => { cell.setAttribute("datetime", change.next_start ?? ""); paintNext(cell); });
  }
  if (change.phase) paintPhase(root, change.phase, each, text);
  if (change.phase ?? change.next_start !== undefined) paintBadge(badgeIn(root), each);
  if (change.name !== undefined) text("name", change.name);
  if (change.file_name !== undefined) text("file_name", change.file_name);
  if (change.exchange !== undefined) text("exchange", change.exchange);
  if (change.sentence !== undefined) {
    text("note", change.sentence);
    text("sentence", change.sentence);
  }
  if (change.restart !== undefined) {
    if (change.restart) restartOf.set(root, change.restart);
    else restartOf.delete(root);
  }
  paintRestart(root);
  if (change.flags !== undefined) root.dataset.flagged = change.flags.length > 0 ? "yes" : "";
  if (change.problem !== undefined) {
    root.dataset.problem = change.problem ? "yes" : "";
    each("draft", (cell) => { cell.hidden = change.problem === null; });
  }
  if (change.order_count !== undefined) text("order_count", change.order_count ? count(change.order_count) : "–");
  if (change.pid !== undefined) text("pid", change.pid === null ? "–" : String(change.pid));
  if (change.run_id !== undefined) text("run_id", change.run_id ?? "–");
  if (change.pnl !== undefined) each("pnl", (cell) => paintMoney(cell, change.pnl ?? null));
  if (change.since !== undefined) {
    each("since", (cell) => { cell.setAttribute("datetime", change.since ?? ""); paintSince(cell, root); });
  }
}

function paintPhase(
  root: HTMLElement, phase: Phase,
  each: (name: string, paint: (cell: HTMLElement) => void) => void, text: (name: string, value: string) => void,
): void {
  root.dataset.phase = phase;
  text("phase-word", phaseWord(phase));
  text("start-word", startWord(phase));
  each("since", (cell) => paintSince(cell, root));
}

function paintBadge(badge: Badge, each: (name: string, paint: (cell: HTMLElement) => void) => void): void {
  each("phase", (cell) => {
    cell.dataset.phase = badge;
    setText(cell, phaseWord(badge));
  });
}

function paintNext(cell: HTMLElement): void {
  const at = cell.getAttribute("datetime");
  setText(cell, at ? `next ${upcoming(new Date(at), now())}` : "");
}

export function paintMoney(cell: HTMLElement, amount: string | null): void {
  setText(cell, inr(amount, 2, "always"));
  const way = direction(amount);
  if (cell.dataset.dir !== way) cell.dataset.dir = way;
}

function paintSince(cell: HTMLElement, root: HTMLElement): void {
  const since = cell.getAttribute("datetime");
  if (!since) return setText(cell, "–");
  const at = new Date(since);
  const isRunning = root.dataset.phase === "running";
  setText(cell, isRunning ? duration((Date.now() - at.getTime()) / 1000) : moment(at));
}

/** Uptimes, and the seconds to a restart, go on counting between messages. */
export function tickUptimes(): void {
  for (const root of all("[data-strategy]")) {
    if (root.dataset.phase === "running") cells(root).get("since")?.forEach((cell) => paintSince(cell, root));
    else paintRestart(root);
  }
}

/** Paints times that the server wrote in its own short form, once. */
export function paintTimes(root: HTMLElement): void {
  cells(root).get("since")?.forEach((cell) => paintSince(cell, root));
  cells(root).get("next")?.forEach(paintNext);
}
