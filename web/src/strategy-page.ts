/** One strategy: its tabs, its header, and what is live in both. */
import "./environment-card";
import "./log-search";
import "./log-view";
import "./order-book";
import "./run-history";
import "./usage";
import { leaveDeleted } from "./actions";
import { all, find, isDialogOpen, isTyping, setText } from "./dom";
import { paintGates } from "./gates";
import { live } from "./live";
import { isLive, paintRow, paintTimes, sinceWord, tickUptimes, type Phase, type Row, type RowChange } from "./row";

type Message = { rows?: Row[]; changes?: RowChange[]; removed?: string[] };

class StrategyPage extends HTMLElement {
  #id = this.dataset.strategy ?? "";
  #tabs = all<HTMLButtonElement>("[role=tab]", this);

  connectedCallback(): void {
    paintTimes(this);
    for (const tab of this.#tabs) tab.onclick = () => this.#show(nameOf(tab));
    find("[role=tablist]", this).onkeydown = (event) => this.#arrow(event);
    addEventListener("hashchange", () => this.#show(this.#asked()));
    document.addEventListener("keydown", (event) => this.#key(event));
    setInterval(tickUptimes, 1000);
    if (location.hash) this.#show(this.#asked(), { keepHash: true });
    else this.#shown(this.#asked());
    live.on<Message>("strategies", (data) => this.#heard(data));
  }

  /* Tabs: the address names the one that is shown */

  #asked(): string {
    const name = /^#([a-z]+)/.exec(location.hash)?.[1] ?? "";
    return this.#tabs.some((tab) => nameOf(tab) === name) ? name : (this.dataset.tab ?? "overview");
  }

  #show(name: string, { keepHash = false } = {}): void {
    for (const tab of this.#tabs) {
      const isShown = nameOf(tab) === name;
      tab.ariaSelected = String(isShown);
      tab.tabIndex = isShown ? 0 : -1;
      if (isShown) intoView(tab);
      find(`#panel-${nameOf(tab)}`).hidden = !isShown;
    }
    const address = `/python/${encodeURIComponent(this.#id)}${name === "overview" ? "" : `#${name}`}`;
    if (!keepHash && location.hash.split(":")[0] !== `#${name}`) history.replaceState(null, "", address);
    this.#shown(name);
  }

  #shown(name: string): void {
    if (name === "code") void import("./code-editor"); // the largest part, and most visits go without
    if (name === "schedule") void import("./strategy-schedule");
    if (name === "settings") void import("./strategy-settings");
    this.dispatchEvent(new CustomEvent("tab-shown", { detail: name }));
  }

  #arrow(event: KeyboardEvent): void {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const at = this.#tabs.findIndex((tab) => tab.ariaSelected === "true");
    const next = this.#tabs[(at + step + this.#tabs.length) % this.#tabs.length];
    if (!next) return;
    this.#show(nameOf(next));
    next.focus();
  }

  #key(event: KeyboardEvent): void {
    if (isTyping(event) || isDialogOpen() || event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    if (event.key === "l") this.#show("log");
    else if (event.key === "s") this.#show("schedule");
    else if (event.key === "e") this.#show("code");
    else if (event.key === "/") {
      event.preventDefault();
      this.#show("log");
      find("[data-find]", this).focus();
    }
  }

  /* Live */

  #heard({ rows, changes, removed }: Message): void {
    if (removed?.includes(this.#id) || (rows && !rows.some((row) => row.id === this.#id))) {
      leaveDeleted(this.dataset.name ?? "");
      return;
    }
    for (const change of rows ?? changes ?? []) if (change.id === this.#id) this.#paint(change);
  }

  #paint(change: RowChange): void {
    paintRow(this, change);
    if (change.phase) this.#paintPhase(change.phase, change.outcome);
    if (SCHEDULED_BY.some((name) => change[name] !== undefined)) this.dispatchEvent(new CustomEvent("schedule-changed"));
    if (change.order_count !== undefined) setText(find("[data-order-count]", this), change.order_count ? String(change.order_count) : "");
    if (change.gates !== undefined) paintGates(find("[data-gates]", this), change.gates);
    if (change.flags !== undefined) {
      find("[data-flags]", this).hidden = change.flags.length === 0;
      setText(find("[data-flags-text]", this), change.flags.map((flag) => flag.sentence).join(" "));
    }
    if (change.problem !== undefined) {
      const { problem } = change;
      find("[data-draft]", this).hidden = problem === null;
      if (problem) setText(find("[data-draft-text]", this), `Line ${problem.line}${problem.file ? ` of ${problem.file}` : ""} is not Python: ${problem.message}.`);
    }
    if (change.run_id) {
      const link = find<HTMLAnchorElement>("[data-download]", this);
      link.href = `/python/log/${encodeURIComponent(this.#id)}/${encodeURIComponent(change.run_id)}`;
      link.hidden = false;
    }
  }

  #paintPhase(phase: Phase, outcome?: string | null): void {
    setText(find("[data-since-word]", this), sinceWord({ phase, outcome }));
    find("[data-failure]", this).hidden = phase !== "error";
    find("[data-backing]", this).hidden = phase !== "backing_off";
    this.dispatchEvent(new CustomEvent("phase-shown", { detail: { isLive: isLive(phase) } }));
  }
}

/** What a change of tells that the Schedule tab says something else. */
const SCHEDULED_BY = ["schedule", "next_start", "last_start", "phase", "exchange"] as const;

/** On a phone the row of tabs is wider than the screen. */
function intoView(tab: HTMLElement): void {
  const row = tab.parentElement;
  row?.scrollTo({ left: tab.offsetLeft - row.offsetLeft - (row.clientWidth - tab.offsetWidth) / 2 });
}

const nameOf = (tab: HTMLElement): string => tab.id.replace("tab-", "");

customElements.define("strategy-page", StrategyPage);
