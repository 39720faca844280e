/** The list of strategies: live cells, filter, sort, selection, keyboard. */
import { act, type Verb } from "./actions";
import { all, find, isDialogOpen, isTyping, setText } from "./dom";
import { live } from "./live";
import { badgeIn, groupOf, paintMoney, paintRow, paintTimes, tickUptimes, type Badge, type Group, type Phase, type Row, type RowChange } from "./row";

type Totals = { counts?: Partial<Record<Badge, number>>; pnl?: string | null };
type Snapshot = Totals & { rows: Row[] };
type Delta = Totals & { changes?: RowChange[]; removed?: string[] };

const GROUPS: readonly Group[] = ["running", "scheduled", "waiting", "error", "stopped"];

class StrategyTable extends HTMLElement {
  #rows = new Map<string, HTMLTableRowElement>();
  #values = new Map<string, RowChange>();
  #body = find<HTMLTableSectionElement>("tbody", this);
  #filter = find<HTMLInputElement>("[data-filter]", this);
  #group: Group | "all" = "all";
  #cursor: HTMLTableRowElement | null = null;

  connectedCallback(): void {
    for (const row of this.#body.rows) {
      this.#rows.set(row.dataset.strategy ?? "", row);
      paintTimes(row);
    }
    const asked = new URLSearchParams(location.search);
    this.#filter.value = asked.get("q") ?? "";
    this.#group = GROUPS.find((group) => group === asked.get("phase")) ?? "all";
    this.#filter.oninput = () => this.#apply();
    this.addEventListener("click", (event) => this.#clicked(event));
    this.addEventListener("change", (event) => this.#changed(event));
    document.addEventListener("keydown", (event) => this.#key(event));
    setInterval(tickUptimes, 1000);
    this.#apply();
    live.on<Snapshot | Delta>("strategies", (data) => ("rows" in data ? this.#snapshot(data) : this.#delta(data)));
  }

  #snapshot({ rows, ...totals }: Snapshot): void {
    const ids = new Set(rows.map((row) => row.id));
    for (const id of [...this.#rows.keys()]) if (!ids.has(id)) this.#remove(id);
    for (const row of rows) this.#update(row);
    this.#totals(totals);
    this.#apply();
  }

  #delta({ changes = [], removed = [], ...totals }: Delta): void {
    const isRegrouped = changes.some((change) => change.phase !== undefined || change.next_start !== undefined) || removed.length > 0;
    for (const id of removed) this.#remove(id);
    for (const change of changes) this.#update(change);
    this.#totals(totals);
    if (isRegrouped) this.#apply();
  }

  #update(change: RowChange): void {
    let row = this.#rows.get(change.id);
    if (!row) {
      if (change.name === undefined) return; // a figure of a row that a later message will bring
      row = this.#add(change);
    }
    this.#values.set(change.id, { ...this.#values.get(change.id), ...change });
    paintRow(row, change);
  }

  #add({ id, name = id, file_name = "" }: RowChange): HTMLTableRowElement {
    const copy = find<HTMLTemplateElement>("template[data-row]", this).content.cloneNode(true) as DocumentFragment;
    const row = find<HTMLTableRowElement>("tr", copy);
    Object.assign(row.dataset, { strategy: id, name, file: file_name });
    for (const labelled of all("[data-label]", row)) labelled.ariaLabel = `${labelled.dataset.label} ${name}`;
    for (const link of all<HTMLAnchorElement>("[data-link]", row)) link.href = `/python/${encodeURIComponent(id)}${link.dataset.link}`;
    this.#body.prepend(row);
    this.#rows.set(id, row);
    return row;
  }

  #remove(id: string): void {
    const row = this.#rows.get(id);
    if (row === this.#cursor) this.#cursor = null;
    row?.remove();
    this.#rows.delete(id);
    this.#values.delete(id);
  }

  #totals({ counts, pnl }: Totals): void {
    if (counts) {
      for (const group of GROUPS) {
        const total = Object.entries(counts).reduce((sum, [phase, n]) => sum + (groupOf(phase as Badge) === group ? n : 0), 0);
        const cell = find(`[data-f="count-${group}"]`, this);
        setText(cell, String(total));
        cell.toggleAttribute("data-zero", total === 0);
        if (group === "error") document.title = `${total ? `(${total}) ` : ""}Strategies · algohost`;
      }
    }
    if (pnl !== undefined) paintMoney(find('[data-f="total-pnl"]', this), pnl);
  }

  /* What is shown */

  #shown(): HTMLTableRowElement[] {
    return [...this.#body.rows].filter((row) => !row.hidden);
  }

  #apply(): void {
    const words = this.#filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const row of this.#body.rows) {
      const text = `${row.dataset.name} ${row.dataset.file} ${row.dataset.strategy}`.toLowerCase();
      const isInGroup = this.#group === "all" || groupOf(badgeIn(row)) === this.#group;
      row.hidden = !isInGroup || !words.every((word) => text.includes(word));
    }
    for (const chip of all("[data-chip]", this)) chip.ariaPressed = String(chip.dataset.chip === this.#group);
    const isEmpty = this.#rows.size === 0;
    for (const part of all("[data-tiles], [data-list]", this)) part.hidden = isEmpty;
    find("[data-empty]", this).hidden = !isEmpty;
    find("[data-none-match]", this).hidden = isEmpty || this.#shown().length > 0;
    const asked = new URLSearchParams();
    if (words.length) asked.set("q", this.#filter.value);
    if (this.#group !== "all") asked.set("phase", this.#group);
    history.replaceState(null, "", asked.size ? `?${asked}` : location.pathname);
    this.#showSelection();
  }

  #sort(heading: HTMLElement, key: keyof Row): void {
    const turn = heading.closest("th")?.ariaSort === "ascending" ? -1 : 1;
    for (const other of all("th[aria-sort]", this)) other.removeAttribute("aria-sort");
    heading.closest("th")?.setAttribute("aria-sort", turn === 1 ? "ascending" : "descending");
    const isNumber = key === "pnl" || key === "order_count";
    const value = (row: HTMLElement): string | number => {
      const known = this.#values.get(row.dataset.strategy ?? "")?.[key];
      return isNumber ? Number(known ?? 0) : String(known ?? "").toLowerCase();
    };
    const order = (a: HTMLElement, b: HTMLElement) => {
      const [left, right] = [value(a), value(b)];
      return turn * (left < right ? -1 : left > right ? 1 : 0);
    };
    this.#body.append(...[...this.#body.rows].sort(order));
  }

  /* Selection and clicks */

  #picked(): HTMLTableRowElement[] {
    return this.#shown().filter((row) => pick(row).checked);
  }

  #showSelection(): void {
    const picked = this.#picked().length;
    find("[data-bulk-bar]", this).hidden = picked === 0;
    setText(find("[data-bulk-count]", this), String(picked));
    const every = find<HTMLInputElement>("[data-pick-all]", this);
    every.checked = picked > 0 && picked === this.#shown().length;
    every.indeterminate = picked > 0 && !every.checked;
  }

  #changed(event: Event): void {
    const box = event.target as HTMLInputElement;
    if (box.matches("[data-pick-all]")) for (const row of this.#shown()) pick(row).checked = box.checked;
    this.#showSelection();
  }

  #clicked(event: Event): void {
    const target = (event.target as Element).closest<HTMLElement>("[data-chip], [data-bulk], [data-sort], [data-clear]");
    if (!target) return;
    const { chip, bulk, sort } = target.dataset;
    if (sort) return this.#sort(target, sort as keyof Row);
    if (bulk) return this.#bulk(bulk as Verb | "none");
    if (chip) this.#group = chip as Group | "all";
    else {
      this.#filter.value = "";
      this.#group = "all";
    }
    this.#apply();
  }

  #bulk(verb: Verb | "none"): void {
    const picked = this.#picked();
    const isUp = (row: HTMLElement) => ["running", "waiting"].includes(groupOf(row.dataset.phase as Phase));
    if (verb !== "none") {
      const ids = picked.filter((row) => isUp(row) === (verb === "stop")).map((row) => row.dataset.strategy ?? "");
      void act(ids, verb);
    }
    for (const row of picked) pick(row).checked = false;
    this.#showSelection();
  }

  /* Keyboard */

  #key(event: KeyboardEvent): void {
    if (isTyping(event) || isDialogOpen() || event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    const row = this.#cursor;
    const id = encodeURIComponent(row?.dataset.strategy ?? "");
    if (event.key === "/") {
      event.preventDefault();
      this.#filter.focus();
    } else if (event.key === "j" || event.key === "k") this.#move(event.key === "j" ? 1 : -1);
    else if (!row) return;
    else if (event.key === "x") {
      pick(row).checked = !pick(row).checked;
      this.#showSelection();
    } else if (event.key === "s") location.assign(`/python/${id}#schedule`);
    else if (event.key === "l") location.assign(`/python/${id}#log`);
    else if (event.key === "e") location.assign(`/python/${id}#code`);
    else if (event.key === "Enter" && !(event.target as Element).closest("a, button")) location.assign(`/python/${id}`);
  }

  #move(step: number): void {
    const shown = this.#shown();
    const from = this.#cursor ? shown.indexOf(this.#cursor) : -1;
    const next = shown[Math.max(0, Math.min(shown.length - 1, from + step))];
    if (!next) return;
    this.#cursor?.classList.remove("cursor");
    this.#cursor = next;
    next.classList.add("cursor");
    next.scrollIntoView({ block: "nearest" });
    find("a", next).focus({ preventScroll: true });
  }
}

const pick = (row: HTMLElement) => find<HTMLInputElement>("input[type=checkbox]", row);

customElements.define("strategy-table", StrategyTable);
