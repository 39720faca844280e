import { make, setText } from "./dom";
import { clockTime } from "./format";

/** The time in India, by the server's clock: a wrong clock here must not mislead about the market. */
class IstClock extends HTMLElement {
  #timer = 0;

  connectedCallback(): void {
    const offsetMs = Number(this.dataset.now) - Date.now();
    const skewMs = Math.abs(offsetMs) > 2000 ? offsetMs : 0; // less is the way here, not the clock
    const time = make("b");
    this.replaceChildren(time, " IST");
    const tick = () => {
      const now = Date.now() + skewMs;
      setText(time, clockTime(now));
      this.#timer = window.setTimeout(tick, 1000 - (now % 1000));
    };
    tick();
  }

  disconnectedCallback(): void {
    clearTimeout(this.#timer);
  }
}
customElements.define("ist-clock", IstClock);
