import { find } from "./dom";

/** Opens a dialog of the page; focus goes back to where it was when it closes. */
export function openDialog(selector: string): HTMLDialogElement {
  const dialog = find<HTMLDialogElement>(selector);
  for (const open of document.querySelectorAll<HTMLElement>("[popover]:popover-open:not(#toasts)")) open.hidePopover();
  if (!dialog.open) dialog.showModal(); // the browser traps focus, closes on Escape and gives focus back
  return dialog;
}

export function listenForCloses(): void {
  document.addEventListener("click", (event) => {
    const target = event.target as Element;
    if (target.closest("[data-close]")) target.closest("dialog")?.close();
    if (target.closest("[popover] a")) (target.closest("[popover]") as HTMLElement).hidePopover();
  });
}
