/** The calendar page: an administrator enters days, imports files and closes a year. */
import { ApiError, post, postText } from "./api";
import { openDialog } from "./dialogs";
import { all, find } from "./dom";
import { enable, showErrors } from "./forms";
import { toastAfterNavigation } from "./toast";

type Day = {
  exchange: string; date: string; text: string; kind: string; name: string; hours: string;
  knowledge: string; note: string; is_edited: boolean;
};

/** The page anew, with what the server said: it draws months better than a script would. */
function again(message: string): void {
  toastAfterNavigation(message);
  location.reload();
}

class MarketCalendar extends HTMLElement {
  #exchange = new URLSearchParams(location.search).get("exchange")?.toUpperCase() ?? "NSE";

  connectedCallback(): void {
    this.addEventListener("click", (event) => {
      const button = (event.target as Element).closest<HTMLButtonElement>("button");
      if (button?.dataset.day) this.#edit(JSON.parse(button.dataset.day) as Day);
      else if (button?.dataset.new !== undefined) this.#edit(null);
      else if (button?.dataset.import !== undefined) this.#openImport();
      else if (button?.dataset.year) void this.#closeYear(button, Number(button.dataset.year));
    });
    enable(this);
  }

  #edit(day: Day | null): void {
    const dialog = openDialog("#day-dialog");
    const form = find<HTMLFormElement>("form", dialog);
    form.reset();
    showErrors(form, {});
    find("h2", form).textContent = day ? day.text : "Enter a day";
    for (const box of all<HTMLInputElement>("[name=exchange]", form)) box.checked = box.value === this.#exchange;
    find<HTMLSelectElement>("[name=kind]", form).value = "holiday";
    if (day) {
      const isListed = day.name !== "" || day.is_edited;
      const values: Record<string, string> = {
        date: day.date, name: day.name, note: day.note,
        kind: isListed ? day.kind : "holiday", hours: day.kind === "special" ? day.hours : "",
        status: day.knowledge === "tentative" && isListed ? "tentative" : "published",
      };
      for (const [name, value] of Object.entries(values)) {
        find<HTMLInputElement | HTMLSelectElement>(`[name=${name}]`, form).value = value;
      }
    }
    const remove = find<HTMLButtonElement>("[data-remove]", form);
    remove.hidden = !day?.is_edited;
    remove.onclick = () => {
      if (day) void this.#send(form, remove, "/calendar/day/delete", { exchange: this.#exchange, date: day.date });
    };
    form.onsubmit = (event) => {
      event.preventDefault();
      void this.#save(form);
    };
  }

  async #save(form: HTMLFormElement): Promise<void> {
    const given = new FormData(form);
    const text = (name: string) => String(given.get(name) ?? "").trim();
    const exchanges = given.getAll("exchange").map(String);
    const errors: Record<string, string> = {};
    if (!text("date")) errors.date = "This is needed.";
    if (!exchanges.length) errors[""] = "Choose at least one exchange.";
    showErrors(form, errors);
    if (Object.keys(errors).length) return;
    const body = {
      exchanges, date: text("date"), kind: text("kind"), name: text("name"), hours: text("hours"),
      status: text("status"), note: text("note"),
    };
    await this.#send(form, find<HTMLButtonElement>(".btn-primary", form), "/calendar/day", body);
  }

  async #send(form: HTMLFormElement, button: HTMLButtonElement, path: string, body: unknown): Promise<void> {
    button.setAttribute("aria-busy", "true");
    try {
      const { message } = await post(path, body);
      again(message ?? "");
    } catch (problem) {
      showErrors(form, { "": (problem as ApiError).message });
      button.removeAttribute("aria-busy");
    }
  }

  #openImport(): void {
    const dialog = openDialog("#import-dialog");
    const form = find<HTMLFormElement>("form", dialog);
    form.reset();
    showErrors(form, {});
    form.onsubmit = (event) => {
      event.preventDefault();
      void this.#import(form);
    };
  }

  async #import(form: HTMLFormElement): Promise<void> {
    const file = find<HTMLInputElement>("[type=file]", form).files?.[0];
    if (!file) return showErrors(form, { "": "Choose a file." });
    const button = find(".btn-primary", form);
    button.setAttribute("aria-busy", "true");
    try {
      const { message } = await postText("/calendar/import", file, "text/csv");
      again(message ?? "");
    } catch (problem) {
      const { message, details } = problem as ApiError;
      const rows = details.rows as { row: number; message: string }[] | undefined;
      const list = rows?.map(({ row, message: said }) => `Row ${row}: ${said}`).join("\n");
      showErrors(form, { "": list ? `Nothing was changed.\n${list}` : message });
      button.removeAttribute("aria-busy");
    }
  }

  async #closeYear(button: HTMLButtonElement, year: number): Promise<void> {
    button.setAttribute("aria-busy", "true");
    try {
      const { message } = await post("/calendar/year", { exchanges: [this.#exchange], year });
      again(message ?? "");
    } catch (problem) {
      toastAfterNavigation((problem as ApiError).message, "error");
      location.reload();
    }
  }
}
customElements.define("market-calendar", MarketCalendar);
