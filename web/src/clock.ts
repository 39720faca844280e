import { get } from "./api";
import { find, make, setText } from "./dom";
import { clockTime } from "./format";

/** By how much this machine's clock is wrong: it must not mislead about the market. */
function measure(): number {
  const said = document.querySelector<HTMLElement>("ist-clock")?.dataset.now;
  const offsetMs = said === undefined ? 0 : Number(said) - Date.now();
  return Math.abs(offsetMs) > 2000 ? offsetMs : 0; // less is the way here, not the clock
}
const skewMs = measure();

/** The present instant by the server's clock, in milliseconds. */
export const now = (): number => Date.now() + skewMs;

/** Calls `tick` at once and at each full second, until the result is called. */
function eachSecond(tick: () => void): () => void {
  let timer = 0;
  const go = () => {
    tick();
    timer = window.setTimeout(go, 1000 - (now() % 1000));
  };
  go();
  return () => clearTimeout(timer);
}

/** The time in India. */
class IstClock extends HTMLElement {
  #stop = () => {};

  connectedCallback(): void {
    const time = make("b");
    this.replaceChildren(time, " IST");
    this.#stop = eachSecond(() => setText(time, clockTime(now())));
  }

  disconnectedCallback(): void {
    this.#stop();
  }
}
customElements.define("ist-clock", IstClock);

type State = { at: number; text: string; open: boolean; more: string; also: string };
type Plan = { until: number; states: State[] };

const ASK_AGAIN_MS = 60_000;

/** What the exchanges do: the server says it for some days ahead, and is asked again after them. */
class MarketSession extends HTMLElement {
  #plan: Plan = { until: 0, states: [] };
  #isAsking = false;
  #stop = () => {};

  connectedCallback(): void {
    this.#plan = JSON.parse(find("script", this).textContent || "{}") as Plan;
    this.#stop = eachSecond(() => this.#tick());
  }

  disconnectedCallback(): void {
    this.#stop();
  }

  #tick(): void {
    const at = now();
    const state = this.#plan.states.findLast((one) => one.at <= at);
    if (state) this.#paint(state);
    if (at >= this.#plan.until && !this.#isAsking && !document.hidden) void this.#ask();
  }

  #paint(state: State): void {
    const main = find("[data-f=session]", this);
    setText(main, state.text);
    main.dataset.open = String(state.open);
    main.title = state.more;
    const also = find("[data-f=session-also]", this);
    setText(also, state.also);
    also.hidden = state.also === "";
  }

  async #ask(): Promise<void> {
    this.#isAsking = true;
    try {
      this.#plan = await get<Plan>("/calendar/now");
    } catch {
      // the banner says that it is offline
    } finally {
      this.#plan.until = Math.max(this.#plan.until, now() + ASK_AGAIN_MS);
      this.#isAsking = false;
    }
  }
}
customElements.define("market-session", MarketSession);
