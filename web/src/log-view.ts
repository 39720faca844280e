/** Views of a log: only the lines in sight are in the document. */
import { find, make, setText } from "./dom";
import { count } from "./format";
import { CAPACITY, linesOf, rank, type Line, type LogLines } from "./log-lines";

const LINE_PX = 20;
const SPARE_LINES = 12;
const PLACE = /File "([^"]+)", line (\d+)/;

/** A line as elements; `query` is marked, and a place in the strategy's own file is a link. */
function lineElement(line: Line, query: string, fileName: string): HTMLElement {
  const text = make("span", { class: line.level });
  const place = PLACE.exec(line.text);
  const at = query ? line.text.toLowerCase().indexOf(query) : -1;
  if (at >= 0) {
    const end = at + query.length;
    text.append(line.text.slice(0, at), make("mark", {}, line.text.slice(at, end)), line.text.slice(end));
  } else if (place?.[1]?.endsWith(fileName)) {
    const end = place.index + place[0].length;
    text.append(line.text.slice(0, place.index), make("a", { href: `#code:${place[2]}` }, place[0]), line.text.slice(end));
  } else text.append(line.text);
  return make("div", { class: "line" }, make("span", { class: "at" }, line.at), text);
}

class LogView extends HTMLElement {
  #log!: LogLines;
  #shown: Line[] = [];
  #level = 0;
  #query = "";
  #hits: number[] = [];
  #hit = -1;
  #isFollowing = true;
  #unseen = 0;
  #frame = 0;
  #box = find(".log", this);
  #pad = find(".pad", this);
  #file = this.closest<HTMLElement>("[data-file]")?.dataset.file ?? "";

  connectedCallback(): void {
    this.#log = linesOf(this);
    const search = find<HTMLInputElement>("[data-find]", this);
    const level = find<HTMLSelectElement>("[data-level]", this);
    search.oninput = () => this.#search(search.value.toLowerCase());
    search.onkeydown = (event) => {
      if (event.key === "Enter") this.#step(event.shiftKey ? -1 : 1);
    };
    level.onchange = () => {
      this.#level = Number(level.value);
      this.#refilter();
    };
    find("[data-end]", this).onclick = () => this.#follow();
    this.#box.onscroll = () => this.#scrolled();
    new ResizeObserver(() => this.#draw()).observe(this.#box);
    this.#log.listen(({ isReset, added }) => this.#grew(isReset, added));
  }

  #isShown = (line: Line): boolean => this.#level <= rank(line.level) && (this.#level < 1 || line.level !== "" || this.#level === 1);

  #grew(isReset: boolean, added: number): void {
    if (isReset || this.#log.lines.length >= CAPACITY) return this.#refilter();
    const fresh = this.#log.lines.slice(-added).filter(this.#isShown);
    if (!added) return;
    fresh.forEach((line, index) => {
      if (this.#isHit(line)) this.#hits.push(this.#shown.length + index);
    });
    this.#shown.push(...fresh);
    if (!this.#isFollowing) this.#unseen += fresh.length;
    this.#draw();
  }

  #refilter(): void {
    this.#shown = this.#log.lines.filter(this.#isShown);
    this.#findHits();
    this.#draw();
  }

  /* Finding */

  #isHit = (line: Line): boolean => this.#query !== "" && line.text.toLowerCase().includes(this.#query);

  #findHits(): void {
    this.#hits = [];
    this.#shown.forEach((line, index) => this.#isHit(line) && this.#hits.push(index));
    this.#hit = Math.min(this.#hit, this.#hits.length - 1);
  }

  #search(query: string): void {
    this.#query = query;
    this.#hit = -1;
    this.#findHits();
    if (this.#hits.length) this.#step(-1);
    this.#draw();
  }

  /** To the next hit, or with -1 to the one before; the first search begins at the newest. */
  #step(step: 1 | -1): void {
    if (!this.#hits.length) return;
    const from = this.#hit < 0 && step < 0 ? this.#hits.length : this.#hit;
    this.#hit = (from + step + this.#hits.length) % this.#hits.length;
    this.#isFollowing = false;
    const at = (this.#hits[this.#hit] ?? 0) * LINE_PX;
    this.#box.scrollTop = Math.max(0, at - this.#box.clientHeight / 2);
    this.#draw();
  }

  /* Following */

  #follow(): void {
    this.#isFollowing = true;
    this.#unseen = 0;
    this.#draw();
  }

  #scrolled(): void {
    const { scrollHeight, scrollTop, clientHeight } = this.#box;
    const isAtEnd = scrollHeight - scrollTop - clientHeight < LINE_PX;
    if (isAtEnd) this.#unseen = 0;
    this.#isFollowing = isAtEnd;
    this.#draw();
  }

  #draw(): void {
    this.#frame ||= requestAnimationFrame(() => {
      this.#frame = 0;
      this.#paint();
    });
  }

  #paint(): void {
    if (!this.#box.clientHeight) return; // another tab of the page is shown
    this.#pad.style.height = `${this.#shown.length * LINE_PX}px`;
    if (this.#isFollowing) this.#box.scrollTop = this.#box.scrollHeight;
    const first = Math.max(0, Math.floor(this.#box.scrollTop / LINE_PX) - SPARE_LINES);
    const last = first + Math.ceil(this.#box.clientHeight / LINE_PX) + 2 * SPARE_LINES;
    const current = this.#hits[this.#hit];
    this.#pad.replaceChildren(...this.#shown.slice(first, last).map((line, index) => {
      const element = lineElement(line, this.#query, this.#file);
      element.style.top = `${(first + index) * LINE_PX}px`;
      if (first + index === current) element.classList.add("hit");
      return element;
    }));
    this.#paintCounts();
  }

  #paintCounts(): void {
    const all = this.#log.lines.length;
    const shown = this.#shown.length;
    const last = this.#log.isTruncated ? "last " : "";
    const total = `${last}${count(all)} ${all === 1 ? "line" : "lines"}`;
    const summary = find("[data-total]", this);
    setText(summary, all === shown ? total : `${count(shown)} of ${total}`);
    summary.title = this.#log.isTruncated ? "Earlier lines are in the download." : "";
    const hits = this.#hits.length;
    setText(find("[data-hits]", this), !this.#query ? "" : hits ? `${count(this.#hit + 1)} of ${count(hits)}` : "Not found");
    find("[data-none]", this).hidden = all > 0;
    const end = find("[data-end]", this);
    end.hidden = this.#isFollowing;
    setText(end.querySelector("span"), this.#unseen ? `${count(this.#unseen)} new` : "Jump to end");
  }
}

/** The last few lines, for the overview. */
class LogTail extends HTMLElement {
  connectedCallback(): void {
    const log = linesOf(this);
    const box = find(".log", this);
    const wanted = Number(this.dataset.lines);
    let frame = 0;
    const paint = () => {
      frame = 0;
      const lines = log.lines.slice(-wanted).map((line) => lineElement(line, "", "\0"));
      box.replaceChildren(...(lines.length ? lines : [make("p", { class: "sub px-3.5 py-2 font-sans" }, "Nothing is written yet.")]));
    };
    log.listen(() => { frame ||= requestAnimationFrame(paint); });
  }
}

customElements.define("log-view", LogView);
customElements.define("log-tail", LogTail);
