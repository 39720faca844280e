/** Orders, trades and positions of one strategy, as they change. */
import { make } from "./dom";
import { count, direction, inr, moment } from "./format";
import { live } from "./live";

type Side = "BUY" | "SELL";
export type Order = {
  id: string; at: string; symbol: string; exchange: string; side: Side; product: string; price_type: string;
  quantity: number; filled: number; price: string | null; trigger_price: string | null; average_price: string | null;
  status: string; reason: string;
};
export type Trade = {
  id: string; order_id: string; at: string; symbol: string; exchange: string; side: Side; product: string;
  quantity: number; price: string; value: string;
};
export type Position = {
  symbol: string; exchange: string; product: string; quantity: number;
  average_price: string | null; last_price: string | null; pnl: string | null;
};
type Message = { reset?: boolean; orders?: Order[]; trades?: Trade[]; positions?: Position[] };
type Part = "orders" | "trades" | "positions";

/** The topic's state, shared by every part of the page. Newest first. */
class Books {
  orders = new Map<string, Order>();
  trades = new Map<string, Trade>();
  positions: Position[] = [];
  fresh = new Set<string>();
  #listeners = new Set<(message: Message) => void>();

  constructor(strategyId: string) {
    live.on<Message>(`orders:${strategyId}`, (message) => this.#heard(message));
  }

  listen(listener: (message: Message) => void): void {
    this.#listeners.add(listener);
  }

  #heard(message: Message): void {
    if (message.reset) {
      this.orders.clear();
      this.trades.clear();
    }
    this.fresh = new Set(message.reset ? [] : [...(message.orders ?? []), ...(message.trades ?? [])].map((item) => item.id));
    for (const order of message.orders ?? []) this.orders.set(order.id, order);
    for (const trade of message.trades ?? []) this.trades.set(trade.id, trade);
    if (message.positions) this.positions = message.positions;
    for (const listener of this.#listeners) listener(message);
  }
}

const known = new Map<string, Books>();
function booksOf(element: Element): Books {
  const id = element.closest<HTMLElement>("[data-strategy]")?.dataset.strategy ?? "";
  const books = known.get(id) ?? new Books(id);
  known.set(id, books);
  return books;
}

const cell = (content: Node | string, kind = "") => make("td", { role: "cell", class: kind }, content);
const side = (value: Side) => make("span", { class: "side", "data-side": value }, value === "BUY" ? "Buy" : "Sell");
const time = (at: string) => make("time", { datetime: at, class: "text-xs tabular-nums" }, moment(new Date(at)));
const symbol = (item: { symbol: string; exchange: string }) => {
  const name = make("span", { class: "block truncate" }, make("span", { class: "font-medium" }, item.symbol), " ");
  name.append(make("span", { class: "sub" }, item.exchange));
  return name;
};
const isPrice = (price: string | null): price is string => price !== null && Number(price) !== 0;
const money = (price: string | null) => (isPrice(price) ? inr(price) : "–");

function wanted(order: Order): string {
  const limit = isPrice(order.price) ? inr(order.price) : "Market";
  return isPrice(order.trigger_price) ? `${limit}, trigger ${inr(order.trigger_price)}` : limit;
}

const STATUS_TONES: Record<string, string> = { complete: "text-success", rejected: "text-error", unknown: "text-warning" };

function orderRow(order: Order): HTMLTableRowElement {
  const filled = order.filled && order.filled !== order.quantity ? `${count(order.filled)} / ${count(order.quantity)}` : count(order.quantity);
  const status = make("span", { class: `text-xs font-medium ${STATUS_TONES[order.status] ?? ""}` }, order.status);
  const row = make("tr", { role: "row", "data-order": order.id },
    cell(time(order.at), "c-time"), cell(side(order.side), "c-side"), cell(symbol(order), "c-symbol"), cell(filled, "num c-quantity"),
    cell(`${order.price_type} · ${order.product}`, "c-wide text-xs"), cell(wanted(order), "num c-wide text-xs"),
    cell(money(order.average_price), "num c-wide"), cell(status, "end c-last"));
  if (order.reason) row.append(cell(order.reason, "reason"));
  return row;
}

const tradeRow = (trade: Trade) => make("tr", { role: "row", "data-trade": trade.id },
  cell(time(trade.at), "c-time"), cell(side(trade.side), "c-side"), cell(symbol(trade), "c-symbol"), cell(count(trade.quantity), "num c-quantity"),
  cell(inr(trade.price), "num c-last"), cell(inr(trade.value), "num c-wide"),
  cell(make("code", { class: "text-xs text-muted" }, trade.order_id), "c-wide end truncate"));

const positionRow = (position: Position) => make("tr", { role: "row" },
  cell(symbol(position)), cell(position.product, "c-wide text-xs"),
  cell(make("span", { class: position.quantity ? "" : "text-muted" }, position.quantity ? `${position.quantity < 0 ? "−" : ""}${count(Math.abs(position.quantity))}` : "flat"), "num"),
  cell(money(position.average_price), "num c-wide"), cell(money(position.last_price), "num"),
  cell(make("span", { "data-dir": direction(position.pnl), class: "stale" }, inr(position.pnl, 2, "always")), "num"));

const HEADS: Record<Part, [string, string][]> = {
  orders: [["Time", ""], ["Side", ""], ["Symbol", ""], ["Quantity", "num"], ["Type", "c-wide"], ["Price", "num c-wide"], ["Average", "num c-wide"], ["Status", "end"]],
  trades: [["Time", ""], ["Side", ""], ["Symbol", ""], ["Quantity", "num"], ["Price", "num"], ["Value", "num c-wide"], ["Order", "c-wide end"]],
  positions: [["Symbol", ""], ["Product", "c-wide"], ["Quantity", "num"], ["Average", "num c-wide"], ["Last", "num"], ["P&L", "num"]],
};
const NOTHING: Record<Part, string> = {
  orders: "No orders yet. Each order of this strategy appears here the moment it is placed, a refused one with its reason.",
  trades: "No trades yet.",
  positions: "No positions. What this strategy buys or sells stands here with its profit and loss.",
};
const SHOWN_ROWS = 500;

class OrderBook extends HTMLElement {
  #part = (this.dataset.part ?? "orders") as Part;
  #body = make("tbody", { role: "rowgroup" });
  #table = make("table", { role: "table", class: `grid-table ${this.#part}`, "aria-label": this.#part });
  #none = make("p", { class: "sub px-3.5 py-8 text-center" }, NOTHING[this.#part]);
  #frame = 0;

  connectedCallback(): void {
    const heads = HEADS[this.#part].map(([text, kind]) => make("th", { role: "columnheader", class: kind }, text));
    this.#table.append(make("thead", { role: "rowgroup" }, make("tr", { role: "row" }, ...heads)), this.#body);
    this.#table.hidden = true;
    const box = make("div", { class: "@container" }, this.#table, this.#none);
    this.replaceChildren(box);
    const books = booksOf(this);
    books.listen((message) => {
      if (message[this.#part]) this.#frame ||= requestAnimationFrame(() => this.#paint(books));
    });
  }

  #paint(books: Books): void {
    this.#frame = 0;
    const newest = <T extends { at: string }>(items: Iterable<T>) =>
      [...items].sort((a, b) => (a.at < b.at ? 1 : -1)).slice(0, SHOWN_ROWS);
    const rows = this.#part === "orders" ? newest(books.orders.values()).map(orderRow)
      : this.#part === "trades" ? newest(books.trades.values()).map(tradeRow)
        : books.positions.map(positionRow);
    for (const row of rows) {
      if (books.fresh.has(row.dataset.order ?? row.dataset.trade ?? "")) row.classList.add("fresh");
    }
    this.#body.replaceChildren(...rows);
    this.#table.hidden = rows.length === 0;
    this.#none.hidden = rows.length > 0;
  }
}
customElements.define("order-book", OrderBook);
