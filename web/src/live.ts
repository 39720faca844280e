/**
 * One WebSocket per tab for everything that is alive, whatever the number of topics: a browser
 * opens six HTTP/1.1 streams to a host, and the seventh tab of a page with one each never loads.
 * A hidden tab has no socket; on return each topic begins with a fresh snapshot.
 */
import { clockTime } from "./format";
import { setText } from "./dom";

type Listener = (data: never) => void;

const HIDDEN = 4000;
const LOGGED_OUT = 4401;
const QUIET_BEFORE_BANNER_MS = 1500;

class Live {
  #socket?: WebSocket;
  #listeners = new Map<string, Set<Listener>>();
  #waitMs = 400;
  #retry = 0;
  #banner = 0;

  constructor() {
    document.addEventListener("visibilitychange", () => {
      if (document.hidden) this.#socket?.close(HIDDEN);
      else this.#open();
    });
    addEventListener("online", () => this.#open());
  }

  /** Calls `listener` with each message of `topic`, a snapshot first, until the result is called. */
  on<T>(topic: string, listener: (data: T) => void): () => void {
    const known = this.#listeners.get(topic);
    const listeners = known ?? new Set<Listener>();
    listeners.add(listener as Listener);
    this.#listeners.set(topic, listeners);
    if (known) this.#send("unsub", topic); // a second listener needs its snapshot too
    this.#send("sub", topic);
    this.#open();
    return () => {
      listeners.delete(listener as Listener);
      if (listeners.size > 0) return;
      this.#listeners.delete(topic);
      this.#send("unsub", topic);
    };
  }

  #send(op: "sub" | "unsub", topic: string): void {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify({ op, topic }));
  }

  #open(): void {
    clearTimeout(this.#retry);
    const isUp = this.#socket !== undefined && this.#socket.readyState < WebSocket.CLOSING;
    if (document.hidden || isUp || this.#listeners.size === 0) return;
    const socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/ws`);
    this.#socket = socket;
    let wasOpen = false;
    socket.onopen = () => { wasOpen = true; this.#opened(); };
    socket.onmessage = (event: MessageEvent<string>) => this.#heard(event.data);
    socket.onclose = (event) => {
      if (socket !== this.#socket) return;
      if (!wasOpen) void this.#reloadIfLoggedOut();
      this.#closed(event.code);
    };
  }

  #opened(): void {
    this.#waitMs = 400;
    clearTimeout(this.#banner);
    this.#banner = 0;
    delete document.body.dataset.offline;
    for (const topic of this.#listeners.keys()) this.#send("sub", topic);
  }

  #heard(text: string): void {
    const { topic, data, error } = JSON.parse(text) as { topic: string; data: never; error?: object };
    if (error) return; // the topic is over: its strategy was deleted, which its page hears by itself
    this.#listeners.get(topic)?.forEach((listener) => listener(data));
  }

  /** A browser does not say why a handshake was refused; a plain request does. */
  async #reloadIfLoggedOut(): Promise<void> {
    const answer = await fetch("/python/status", { headers: { accept: "application/json" } }).catch(() => null);
    if (answer?.status === 401) location.reload();
  }

  #closed(code: number): void {
    this.#socket = undefined;
    if (code === HIDDEN) {
      if (!document.hidden) this.#open(); // hidden and shown again before the close was heard
      return;
    }
    if (code === LOGGED_OUT) {
      location.reload(); // the server leads to the login page and back
      return;
    }
    const since = clockTime(new Date());
    this.#banner ||= window.setTimeout(() => {
      setText(document.querySelector("[data-offline-since]"), `${since} IST`);
      document.body.dataset.offline = "";
    }, QUIET_BEFORE_BANNER_MS);
    this.#retry = window.setTimeout(() => this.#open(), this.#waitMs * (0.7 + Math.random() * 0.6));
    this.#waitMs = Math.min(this.#waitMs * 2, 10_000);
  }
}

export const live = new Live();
