/** What the kernel holds the latest run to: one line where it is everything, else what is missing. */
import { find, make } from "./dom";

export type Enforced = { name: string; is_on: boolean; how: string };
type Run = { ended_at: string | null; enforced: Enforced[] };

export function paintConfinement(latest: Run | undefined): void {
  const card = document.querySelector<HTMLElement>("[data-confinement]");
  if (!card) return;
  const { word, sentence } = summary(latest);
  const off = Map.groupBy(latest?.enforced.filter((one) => !one.is_on) ?? [], (one) => one.how);
  const rows = [...off].flatMap(([why, ones]) => [make("dt", {}, capitalized(ones.map((one) => one.name).join(", "))), make("dd", {}, why)]);
  const list = find("dl", card);
  find("[data-word]", card).textContent = word;
  find("[data-word]", card).hidden = !word;
  find("[data-sentence]", card).textContent = sentence;
  list.hidden = rows.length === 0;
  list.replaceChildren(...rows);
  card.title = latest?.enforced.filter((one) => one.is_on).map((one) => `${capitalized(one.name)}: ${one.how}`).join("\n") ?? "";
}

function summary(latest: Run | undefined): { word: string; sentence: string } {
  if (!latest) return { word: "", sentence: "Known when it has run once." };
  if (latest.enforced.length === 0) {
    return { word: "", sentence: latest.ended_at ? "Not known for the latest run." : "Known when its script begins." };
  }
  const on = latest.enforced.filter((one) => one.is_on).map((one) => one.name);
  if (on.length === latest.enforced.length) return { word: "on", sentence: `The kernel holds it to all limits: ${on.join(", ")}.` };
  return { word: "in part", sentence: on.length ? `The kernel holds: ${on.join(", ")}. It does not hold:` : "The kernel holds it to nothing:" };
}

const capitalized = (text: string) => text.charAt(0).toUpperCase() + text.slice(1);
