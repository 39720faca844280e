/** What buttons with `data-command`, the palette and the keys can ask for on every page. */
import { act } from "./actions";
import { ApiError, get, post } from "./api";
import { all, find, icon, isDialogOpen, isTyping, make } from "./dom";
import { openDialog } from "./dialogs";
import { groupOf, phaseWord, type Row } from "./row";
import { switchTheme } from "./theming";
import { toast } from "./toast";

type Command = { label: string; hint: string; icon: string; run: () => void };

const go = (path: string) => () => location.assign(path);
const AFTER_G: Record<string, () => void> = { s: go("/python"), n: go("/python/new"), t: go("/schedule"), c: go("/calendar") };

async function logOut(): Promise<void> {
  try {
    await post("/logout");
    location.assign("/login");
  } catch (problem) {
    toast((problem as ApiError).message, "error");
  }
}

const COMMANDS: Record<string, () => void> = {
  palette: () => void openPalette(),
  help: () => void openDialog("#shortcuts"),
  theme: switchTheme,
  logout: () => void logOut(),
  key: () => void openDialog("#key-dialog"),
  delete: () => void openDialog("#delete-dialog"),
  back: () => history.back(),
};

const PAGES: Command[] = [
  { label: "Strategies", hint: "page", icon: "list", run: go("/python") },
  { label: "Upload a strategy", hint: "page", icon: "upload", run: go("/python/new") },
  { label: "Tomorrow: what will start", hint: "page", icon: "calendar-clock", run: go("/schedule") },
  { label: "Calendars", hint: "page", icon: "calendar-days", run: go("/calendar") },
  { label: "Switch theme", hint: "command", icon: "sun", run: switchTheme },
  { label: "Keyboard shortcuts", hint: "command", icon: "keyboard", run: () => void openDialog("#shortcuts") },
  { label: "New API key", hint: "command", icon: "key-round", run: () => void openDialog("#key-dialog") },
  { label: "Log out", hint: "command", icon: "log-out", run: () => void logOut() },
];

function commandsOf(row: Row): Command[] {
  const path = `/python/${encodeURIComponent(row.id)}`;
  const isDown = groupOf(row.phase) === "stopped" || groupOf(row.phase) === "error";
  const verb = isDown ? "start" : "stop";
  return [
    { label: row.name, hint: phaseWord(row.phase).toLowerCase(), icon: "file-code", run: go(path) },
    { label: `${isDown ? "Start" : "Stop"} ${row.name}`, hint: "command", icon: isDown ? "play" : "square", run: () => void act([row.id], verb) },
    { label: `Schedule of ${row.name}`, hint: "schedule", icon: "calendar-clock", run: go(`${path}#schedule`) },
    { label: `Log of ${row.name}`, hint: "log", icon: "terminal", run: go(`${path}#log`) },
  ];
}

let commands: Command[] = [];
let shown: Command[] = [];
let marked = 0;

async function openPalette(): Promise<void> {
  const dialog = openDialog("#palette");
  const input = find<HTMLInputElement>("input", dialog);
  input.value = "";
  commands = PAGES;
  drawPalette(dialog);
  try {
    const { strategies } = await get<{ strategies: Row[] }>("/python/status");
    commands = [...strategies.flatMap(commandsOf), ...PAGES];
    drawPalette(dialog);
  } catch (problem) {
    toast((problem as ApiError).message, "error");
  }
}

function drawPalette(dialog: HTMLElement): void {
  const words = find<HTMLInputElement>("input", dialog).value.toLowerCase().split(/\s+/).filter(Boolean);
  const isMatch = ({ label }: Command) => words.every((word) => label.toLowerCase().includes(word));
  shown = commands.filter((command) => (words.length ? isMatch(command) : !["log", "schedule"].includes(command.hint) && !/^(Start|Stop) /.test(command.label))).slice(0, 40);
  marked = 0;
  const options = shown.map((command, index) => {
    const option = make("li", { role: "option", id: `command-${index}` }, icon(command.icon), make("span", { class: "truncate" }, command.label), make("span", { class: "hint" }, command.hint));
    option.onclick = () => choose(index);
    return option;
  });
  find("ul", dialog).replaceChildren(...options);
  find("[data-none]", dialog).hidden = shown.length > 0;
  mark();
}

function mark(): void {
  const options = all("#palette-list > li");
  options.forEach((option, index) => option.setAttribute("aria-selected", String(index === marked)));
  options[marked]?.scrollIntoView({ block: "nearest" });
  find("#palette input").setAttribute("aria-activedescendant", `command-${marked}`);
}

function choose(index: number): void {
  find<HTMLDialogElement>("#palette").close();
  shown[index]?.run();
}

function paletteKey(event: KeyboardEvent): void {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (step && shown.length) {
    event.preventDefault();
    marked = (marked + step + shown.length) % shown.length;
    mark();
  } else if (event.key === "Enter") {
    event.preventDefault();
    choose(marked);
  }
}

let isAfterG = false;

function pageKey(event: KeyboardEvent): void {
  if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") {
    event.preventDefault();
    void openPalette();
    return;
  }
  if (event.key === "Escape" && isTyping(event) && !isDialogOpen()) {
    (event.target as HTMLElement).blur();
    return;
  }
  if (isTyping(event) || isDialogOpen() || event.ctrlKey || event.metaKey || event.altKey) return;
  if (isAfterG) {
    isAfterG = false;
    event.preventDefault(); // the key belongs to this, and not to the row that is marked
    AFTER_G[event.key]?.();
  } else if (event.key === "g") {
    isAfterG = true;
    setTimeout(() => { isAfterG = false; }, 1200);
  } else if (event.key === "?") {
    openDialog("#shortcuts");
  }
}

export function listenForCommands(): void {
  document.addEventListener("click", (event) => {
    const command = (event.target as Element).closest<HTMLElement>("[data-command]")?.dataset.command;
    if (command) COMMANDS[command]?.();
  });
  const dialog = document.querySelector<HTMLElement>("#palette");
  if (!dialog) return;
  const input = find<HTMLInputElement>("input", dialog);
  input.oninput = () => drawPalette(dialog);
  input.onkeydown = paletteKey;
  document.addEventListener("keydown", pageKey);
}
