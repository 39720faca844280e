import { find, make } from "./dom";

/** Opens a dialog of the page; focus goes back to where it was when it closes. */
export function openDialog(selector: string): HTMLDialogElement {
  const dialog = find<HTMLDialogElement>(selector);
  for (const open of document.querySelectorAll<HTMLElement>("[popover]:popover-open:not(#toasts)")) open.hidePopover();
  if (!dialog.open) dialog.showModal(); // the browser traps focus, closes on Escape and gives focus back
  return dialog;
}

/** Asks before something is done that cannot be undone; whether it was agreed to. */
export function ask(question: string, words: string, act: string): Promise<boolean> {
  const dialog = make("dialog", { class: "modal", "aria-labelledby": "ask-title", "aria-describedby": "ask-words" },
    make("div", { class: "modal-box" },
      make("form", { method: "dialog", class: "flex flex-col gap-4" },
        make("h2", { id: "ask-title", class: "text-base" }, question),
        make("p", { id: "ask-words", class: "leading-relaxed" }, words),
        make("div", { class: "flex justify-end gap-2" },
          make("button", { class: "btn btn-sm btn-quiet", value: "" }, "Cancel"),
          make("button", { class: "btn btn-sm btn-error", value: "yes" }, act)))));
  document.body.append(dialog);
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.onclose = () => {
      dialog.remove();
      resolve(dialog.returnValue === "yes");
    };
  });
}

export function listenForCloses(): void {
  document.addEventListener("click", (event) => {
    const target = event.target as Element;
    if (target.closest("[data-close]")) target.closest("dialog")?.close();
    if (target.closest("[popover] a")) (target.closest("[popover]") as HTMLElement).hidePopover();
  });
}
