/** The dialog that makes an API key and shows it once. */
import { ApiError, post } from "./api";
import { find, setText } from "./dom";
import { toast } from "./toast";

/** Opened afresh each time, so that a key once shown is not there for the next person. */
export function prepareKeyDialog(): void {
  const dialog = document.querySelector<HTMLDialogElement>("#key-dialog");
  if (!dialog) return;
  const form = find<HTMLFormElement>("form", dialog);
  const [field, shown] = [find<HTMLInputElement>("input", dialog), find("[data-shown]", dialog)];
  const [make, copy] = [find<HTMLButtonElement>("[data-make]", dialog), find<HTMLButtonElement>("[data-copy]", dialog)];
  const refusal = find("[data-error]", dialog);
  const show = (key: string) => {
    field.value = key;
    shown.hidden = copy.hidden = key === "";
    make.hidden = key !== "";
    setText(refusal, "");
  };
  dialog.addEventListener("close", () => show(""));
  form.onsubmit = (event) => {
    event.preventDefault();
    make.disabled = true;
    post<{ api_key: string }>("/python/key")
      .then(({ api_key }) => { show(api_key); field.select(); })
      .catch((problem: ApiError) => setText(refusal, problem.message))
      .finally(() => { make.disabled = false; });
  };
  copy.onclick = () => {
    field.select();
    navigator.clipboard.writeText(field.value).then(
      () => toast("API key copied."),
      () => toast("The browser did not allow copying: press Ctrl+C, the key is selected.", "warning"),
    );
  };
}
