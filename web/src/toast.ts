import { find, icon, make } from "./dom";

export type Kind = "success" | "error" | "warning" | "info";

const ICONS: Record<Kind, string> = {
  success: "circle-check", error: "circle-alert", warning: "triangle-alert", info: "info",
};
const AFTER_NAVIGATION = "toast";

/** Says what happened. Success and info go after three seconds, errors stay until closed. */
export function toast(text: string, kind: Kind = "success"): void {
  const item = make("div", { class: "toast-item", "data-kind": kind }, icon(ICONS[kind]), make("p", {}, text));
  const remove = () => item.remove();
  const close = make("button", { class: "close", "aria-label": "Close" }, icon("x"));
  close.onclick = remove;
  item.append(close);
  const box = find("#toasts");
  box.append(item);
  raise(box);
  if (kind !== "error") setTimeout(remove, 3000);
}

/** The popover stands in the top layer; opened anew it stands above a dialog opened since. */
function raise(box: HTMLElement): void {
  if (box.matches(":popover-open")) box.hidePopover();
  box.showPopover();
}

/** As `toast`, on the page that is opened next. */
export function toastAfterNavigation(text: string, kind: Kind = "success"): void {
  sessionStorage.setItem(AFTER_NAVIGATION, JSON.stringify({ text, kind }));
}

export function showToastOfEarlierPage(): void {
  const kept = sessionStorage.getItem(AFTER_NAVIGATION);
  if (!kept) return;
  sessionStorage.removeItem(AFTER_NAVIGATION);
  const { text, kind } = JSON.parse(kept) as { text: string; kind: Kind };
  toast(text, kind);
}
