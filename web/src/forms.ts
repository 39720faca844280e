/** Forms whose answer is JSON: sent without leaving the page, refusals shown at their fields. */
import { ApiError, post } from "./api";
import { ask } from "./dialogs";
import { all, find } from "./dom";
import { toastAfterNavigation } from "./toast";

/** Puts a sentence at the field it is about, or under the form. */
export function showErrors(form: HTMLElement, errors: Record<string, string>): void {
  for (const slot of all("[data-error]", form)) {
    const message = errors[slot.dataset.error ?? ""] ?? "";
    slot.textContent = message;
    const field = slot.dataset.error ? form.querySelector(`[name="${slot.dataset.error}"]`) : null;
    field?.toggleAttribute("aria-invalid", message !== "");
  }
  const first = Object.keys(errors)[0];
  if (first) form.querySelector<HTMLElement>(`[name="${first}"]:not([type=hidden])`)?.focus();
}

/** Lets a form be sent, now that this script and not the browser will send it. */
export function enable(form: HTMLElement): void {
  for (const button of all<HTMLButtonElement>("[data-ready]", form)) button.disabled = false;
}

const FIELDS: Record<string, string> = {
  BAD_NAME: "name", BAD_PASSWORD: "password", NO_FILE: "file", NOT_PYTHON: "file", FILE_TOO_LARGE: "file",
  TOO_LARGE: "file", EMPTY_FILE: "file", WRONG_ENCODING: "file", BAD_ZIP: "file", ZIP_BOMB: "file", NO_MAIN: "file", TOO_MANY_FILES: "file",
};

/** The refusal at the field that its code is about, else under the form. */
export function errorsOf(problem: ApiError, form: HTMLElement): Record<string, string> {
  const field = FIELDS[problem.code] ?? "";
  const isThere = field !== "" && form.querySelector(`[data-error="${CSS.escape(field)}"]`) !== null;
  return { [isThere ? field : ""]: problem.message };
}

/** `data-question`, `data-words` and its button's text ask before it is sent; `data-toast` says the answer. */
class ApiForm extends HTMLElement {
  connectedCallback(): void {
    const form = find<HTMLFormElement>("form", this);
    form.onsubmit = (event) => {
      event.preventDefault();
      void this.#send(form);
    };
    enable(this);
  }

  async #send(form: HTMLFormElement): Promise<void> {
    const errors = this.#check(form);
    showErrors(form, errors);
    if (Object.keys(errors).length) return;
    const button = find("button:not([type=button])", form);
    const { question, words } = this.dataset;
    if (question && !(await ask(question, words ?? "", button.textContent.trim()))) return;
    button.setAttribute("aria-busy", "true");
    const fields = Object.fromEntries([...new FormData(form)].filter(([name]) => name !== "again"));
    try {
      const answer = await post<{ next?: string; message?: string }>(this.getAttribute("action") ?? "", fields);
      if (this.dataset.toast !== undefined && answer.message) toastAfterNavigation(answer.message);
      location.assign(answer.next ?? "/python"); // the server has checked that it is one of its own
    } catch (problem) {
      showErrors(form, errorsOf(problem as ApiError, form));
      button.removeAttribute("aria-busy");
    }
  }

  #check(form: HTMLFormElement): Record<string, string> {
    const errors: Record<string, string> = {};
    for (const input of all<HTMLInputElement>("input[name]", form)) {
      const other = input.dataset.same && form.querySelector<HTMLInputElement>(`[name="${input.dataset.same}"]`);
      if (input.required && !input.value) errors[input.name] = "This is needed.";
      else if (input.minLength > 0 && input.value.length < input.minLength) {
        errors[input.name] = `Use at least ${input.minLength} characters; this has ${input.value.length}.`;
      } else if (other && other.value !== input.value) errors[input.name] = "The two are not the same; type it again.";
    }
    return errors;
  }
}

/** A hint, not a judge: length first, then variety, and a few things everybody tries. */
function strengthOf(password: string): number {
  if (password.length < 10) return password ? 1 : 0;
  const kinds = [/[a-z]/, /[A-Z]/, /\d/, /[^a-zA-Z\d]/].filter((kind) => kind.test(password)).length;
  const isGuessable = /^(.)\1+$|password|12345|qwerty|algohost/i.test(password) || new Set(password).size < 6;
  if (isGuessable) return 1;
  return password.length >= 20 || (password.length >= 14 && kinds >= 3) ? 4 : password.length >= 12 || kinds >= 3 ? 3 : 2;
}

const HINTS = [
  "At least 10 characters. A sentence is easier to keep than a riddle.",
  "Easy to guess: make it longer, or less common.",
  "Fair. A few more characters make it good.",
  "Good.",
  "Strong.",
];

class PasswordStrength extends HTMLElement {
  connectedCallback(): void {
    const input = find<HTMLInputElement>("input", this);
    input.addEventListener("input", () => {
      const level = strengthOf(input.value);
      find(".strength", this).dataset.level = String(level);
      find("[data-hint]", this).textContent = HINTS[level] ?? "";
    });
  }
}

customElements.define("api-form", ApiForm);
customElements.define("password-strength", PasswordStrength);
