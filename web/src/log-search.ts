/** Finds lines in the logs of all runs of a strategy; each leads to its run and its place. */
import { get } from "./api";
import { find, make, setText } from "./dom";
import { count } from "./format";

type Hit = { run_id: string; offset: number; at: string; level: string; text: string };
type Answer = { hits: Hit[]; cursor: string | null };

class LogSearch extends HTMLElement {
  #id = this.closest<HTMLElement>("[data-strategy]")?.dataset.strategy ?? "";
  #form = find<HTMLFormElement>("form", this);
  #box = find("[data-found]", this);
  #more = find<HTMLButtonElement>("[data-more]", this);
  #said = find("[data-said]", this);
  #cursor: string | null = null;
  #asked = 0;

  connectedCallback(): void {
    this.#form.onsubmit = (event) => {
      event.preventDefault();
      this.#box.replaceChildren();
      this.#cursor = null;
      void this.#search();
    };
    this.#more.onclick = () => void this.#search();
  }

  #query(): URLSearchParams {
    const query = new URLSearchParams();
    for (const [name, value] of new FormData(this.#form)) if (typeof value === "string" && value) query.set(name, value);
    if (this.#cursor) query.set("cursor", this.#cursor);
    return query;
  }

  async #search(): Promise<void> {
    const asked = ++this.#asked;
    this.ariaBusy = "true";
    setText(this.#said, "Searching");
    try {
      const { hits, cursor } = await get<Answer>(`/python/search/${encodeURIComponent(this.#id)}?${this.#query()}`);
      if (asked === this.#asked) this.#show(hits, cursor);
    } catch (problem) {
      if (asked === this.#asked) this.#end((problem as Error).message);
    }
  }

  #show(hits: Hit[], cursor: string | null): void {
    this.#cursor = cursor;
    this.#box.append(...hits.map((hit) => make("a", { class: "line", href: `#runs:${hit.run_id}@${hit.offset}` }, make("span", { class: "at" }, hit.at || "–"), make("span", { class: hit.level }, hit.text))));
    const all = this.#box.childElementCount;
    const lines = `${count(all)} ${all === 1 ? "line" : "lines"}`;
    this.#end(all ? `${lines}, newest first${cursor ? "; there may be more" : ""}` : cursor ? "Nothing yet" : "Not found");
  }

  #end(words: string): void {
    this.ariaBusy = "false";
    setText(this.#said, words);
    this.#box.hidden = !this.#box.childElementCount;
    this.#more.hidden = this.#cursor === null;
  }
}

customElements.define("log-search", LogSearch);
