/** What a start waits for: every closed gate in its own words, and where it can be opened. */
import { find, make } from "./dom";
import type { ClosedGate } from "./row";

const OPENING = { login: "Go to the login", download: "Go to the download", release: "Go to the kill switch" };

export function paintGates(card: HTMLElement, gates: readonly ClosedGate[]): void {
  card.hidden = gates.length === 0;
  find("ul", card).replaceChildren(...gates.map(({ sentence, action }) => {
    const line = make("li", {}, sentence);
    if (action) line.append(" ", make("a", { class: "underline", href: "/python#broker-title" }, OPENING[action]));
    return line;
  }));
}
