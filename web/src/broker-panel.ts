/** How the login to the broker and the contracts stand, and the buttons that open gates. */
import { ApiError, post } from "./api";
import { openDialog } from "./dialogs";
import { find, make, setText } from "./dom";
import { enable } from "./forms";
import { moment } from "./format";
import { live } from "./live";
import { toast } from "./toast";

type Field = { name: string; label: string; is_secret: boolean };
type Session = {
  account_id: string; broker: string; state: "logged_in" | "logged_out" | "expired"; word: string;
  since: string | null; by: string; expires_at: string | null; is_expiring: boolean;
  fields: Field[]; running: number; waiting: number;
};
type Contracts = { message: string; status: "pending" | "downloading" | "success" | "error"; is_ready: boolean };
type Queue = { account_id: string; exchange: string; waiting: number; oldest_seconds: number; per_second: number };
type State = { session: Session; contracts: Contracts; queues: Queue[] };

class BrokerPanel extends HTMLElement {
  #now!: Session;
  #lamp = find("[data-lamp]", this);
  #logIn = find<HTMLButtonElement>("[data-log-in]", this);
  #logOut = find<HTMLButtonElement>("[data-log-out]", this);
  #check = find<HTMLButtonElement>("[data-check]", this);
  #download = find<HTMLButtonElement>("[data-download]", this);

  connectedCallback(): void {
    const now = JSON.parse(find("script", this).textContent || "{}") as State;
    this.#paint(now.session);
    this.#paintContracts(now.contracts);
    this.#logIn.onclick = () => this.#askToLogIn();
    this.#logOut.onclick = () => this.#answer("#logout-dialog", "/api/broker/logout", () => ({}));
    this.#check.onclick = () => void this.#ask(this.#check, "/python/check-contracts");
    find<HTMLButtonElement>("[data-kill]", this).onclick = () => document.dispatchEvent(new Event("kill-switch"));
    find<HTMLButtonElement>("[data-risk]", this).onclick = () => void openDialog("#risk-dialog");
    enable(this);
    this.#download.onclick = () => void this.#ask(this.#download, "/api/master-contract/download");
    this.#paintQueues(now.queues);
    live.on<State>("broker", ({ session, contracts, queues }) => { this.#paint(session); this.#paintContracts(contracts); this.#paintQueues(queues); });
  }

  #paint(now: Session): void {
    this.#now = now;
    const isOn = now.state === "logged_in";
    this.#lamp.dataset.state = isOn && now.is_expiring ? "expiring" : now.state;
    setText(this.#lamp, now.word);
    setText(find("[data-f=more]", this), this.#more(now));
    setText(find("[data-f=log-in]", this), isOn ? "Renew" : "Log in");
    this.#logIn.hidden = isOn && !now.is_expiring;
    this.#logOut.hidden = !isOn;
  }

  #more(now: Session): string {
    const account = `${now.broker.charAt(0).toUpperCase()}${now.broker.slice(1)} account`;
    const at = (text: string | null) => (text === null ? "" : `${moment(new Date(text))} IST`);
    if (now.state === "logged_in") {
      const end = now.expires_at === null ? "" : `, until ${at(now.expires_at)}`;
      return `${account}${end}${now.is_expiring ? ". Renew it, or starts will wait from then on" : ""}`;
    }
    const since = now.since === null ? "" : ` since ${at(now.since)}`;
    const going = now.running ? `${now.running} running, which go on. ` : "";
    return `${account}${since}. ${going}${now.waiting ? `${now.waiting} waiting for a login.` : "Starts wait for a login."}`;
  }

  #paintContracts({ message, status, is_ready }: Contracts): void {
    const lamp = find("[data-contracts]", this);
    lamp.dataset.state = is_ready ? "logged_in" : status === "error" ? "expired" : "logged_out";
    setText(lamp, is_ready ? "Contracts ready" : status === "error" ? "Contracts missing" : "Contracts not ready");
    setText(find("[data-f=contracts]", this), message);
    this.#download.hidden = is_ready || status === "downloading";
  }

  /** What waits for its turn at the governor, while anything does. */
  #paintQueues(queues: Queue[]): void {
    const waiting = queues.filter((one) => one.waiting > 0);
    find("[data-queue]", this).hidden = waiting.length === 0;
    setText(find("[data-f=queue]", this), waiting.map((one) =>
      `${one.waiting} for ${one.exchange} in ${one.account_id}, the oldest for ${one.oldest_seconds.toFixed(1)} s; ${one.per_second} a second may go`).join(". "));
  }

  #askToLogIn(): void {
    const { fields, broker } = this.#now;
    const inputs = fields.map(({ name, label, is_secret }) =>
      make("label", { class: "field" }, make("span", { class: "name" }, label),
        make("input", { class: "input", name, type: is_secret ? "password" : "text", autocomplete: "off", required: true })));
    const about = broker === "paper"
      ? "The paper account needs no password: this confirms the login. Strategies that wait for it start by themselves."
      : "Strategies that wait for the login start by themselves.";
    this.#answer("#login-dialog", "/api/broker/login", (form) => Object.fromEntries(new FormData(form)));
    const dialog = find("#login-dialog", this);
    setText(find("[data-about]", dialog), about);
    const box = find("[data-fields]", dialog);
    box.hidden = inputs.length === 0;
    box.replaceChildren(...inputs);
  }

  #answer(selector: string, path: string, body: (form: HTMLFormElement) => object): void {
    const form = find<HTMLFormElement>("form", openDialog(selector));
    const [refusal, button] = [find("[data-error]", form), find("button:not([type=button])", form)];
    setText(refusal, "");
    form.onsubmit = async (event) => {
      event.preventDefault();
      button.setAttribute("aria-busy", "true");
      try {
        const { message, session } = await post<State & { message: string }>(path, body(form));
        form.closest("dialog")?.close();
        this.#paint(session);
        toast(message);
      } catch (problem) {
        setText(refusal, (problem as ApiError).message);
      } finally {
        button.removeAttribute("aria-busy");
      }
    };
  }

  /** Asks for something that answers in a sentence; amber where something waits on. */
  async #ask(button: HTMLButtonElement, path: string): Promise<void> {
    button.setAttribute("aria-busy", "true");
    try {
      const { message, waiting } = await post<{ message: string; waiting?: unknown[] }>(path);
      toast(message, waiting?.length ? "warning" : "info");
    } catch (problem) {
      toast((problem as ApiError).message, "error");
    } finally {
      button.removeAttribute("aria-busy");
    }
  }
}

customElements.define("broker-panel", BrokerPanel);
