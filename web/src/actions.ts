/** Starting, stopping and deleting: the pending state at once, the truth when the server says so. */
import { all, find } from "./dom";
import { ApiError, post } from "./api";
import { paintRow, type Phase, type Row } from "./row";
import { toast, toastAfterNavigation } from "./toast";

export type Verb = "start" | "stop";

const roots = (id: string) => all(`[data-strategy="${CSS.escape(id)}"]`);
const WORDS: Record<Verb, { doing: Phase; done: string }> = {
  start: { doing: "starting", done: "Starting" },
  stop: { doing: "stopping", done: "Stopping" },
};

/** Asks for one verb on many strategies and says in one toast what came of it. */
export async function act(ids: readonly string[], verb: Verb): Promise<void> {
  const results = await Promise.all(ids.map((id) => actOnOne(id, verb)));
  const refusals = results.filter((result) => result.refusal !== undefined);
  const done = results.filter((result) => result.refusal === undefined);
  if (done.length === 1) toast(`${WORDS[verb].done} ${done[0]?.name}.`, "info");
  else if (done.length > 1) toast(`${WORDS[verb].done} ${done.length} strategies.`, "info");
  if (refusals.length === 1) toast(refusals[0]?.refusal ?? "", "error");
  else if (refusals.length > 1) {
    const first = refusals[0];
    toast(`${refusals.length} were refused. ${first?.name}: ${first?.refusal}`, "error");
  }
}

async function actOnOne(id: string, verb: Verb): Promise<{ name: string; refusal?: string }> {
  const before = roots(id).map((root) => [root, root.dataset.phase as Phase] as const);
  const name = before[0]?.[0].dataset.name ?? id;
  const buttons = before.flatMap(([root]) => all<HTMLButtonElement>(`[data-act="${verb}"]`, root));
  buttons.forEach((button) => button.setAttribute("aria-busy", "true"));
  for (const [root] of before) paintRow(root, { id, phase: WORDS[verb].doing });
  try {
    const { strategy } = await post<{ strategy?: Row }>(`/python/${verb}/${encodeURIComponent(id)}`);
    if (strategy) roots(id).forEach((root) => paintRow(root, strategy));
    return { name };
  } catch (problem) {
    for (const [root, phase] of before) {
      if (root.dataset.phase === WORDS[verb].doing) paintRow(root, { id, phase });
    }
    return { name, refusal: (problem as ApiError).message };
  } finally {
    buttons.forEach((button) => button.removeAttribute("aria-busy"));
  }
}

/** Buttons with `data-act` act on the strategy they stand in, on every page. */
export function listenForActs(): void {
  document.addEventListener("click", (event) => {
    const button = (event.target as Element).closest<HTMLElement>("[data-act]");
    const id = button?.closest<HTMLElement>("[data-strategy]")?.dataset.strategy;
    if (button && id) void act([id], button.dataset.act as Verb);
  });
}

/** Leads away from a strategy that is no more. The answer and the live line both tell of a
 * deletion, in either order: whichever is first leads away, in the same words. */
export function leaveDeleted(name: string): void {
  toastAfterNavigation(`Deleted ${name}.`);
  location.assign("/python");
}

/** The dialog that deletes: it takes the strategy's name, typed. */
export function prepareDeletion(): void {
  const form = document.querySelector<HTMLFormElement>("form[data-delete]");
  if (!form) return;
  const { delete: id = "", name = "" } = form.dataset;
  const typed = find<HTMLInputElement>("input", form);
  const button = find<HTMLButtonElement>("button.btn-error", form);
  typed.oninput = () => { button.disabled = typed.value.trim() !== name; };
  form.onsubmit = async (event) => {
    event.preventDefault();
    if (button.disabled) return;
    button.setAttribute("aria-busy", "true");
    try {
      await post(`/python/delete/${encodeURIComponent(id)}`);
      leaveDeleted(name);
    } catch (problem) {
      find("[data-error]", form).textContent = (problem as ApiError).message;
      button.removeAttribute("aria-busy");
    }
  };
}
