/** The windows of a schedule as fields, and back; what makes sense is the server's to say. */
import { all, find } from "./dom";

export type Window = { start: string; stop: string | null; weekdays: string[]; ends_next_day: boolean };
export type Schedule = {
  kind: "manual" | "always" | "windows"; windows: Window[]; first_day: string | null; last_day: string | null;
  skipped: string[]; special_days: string; late: string; zone: string;
};
export const NEW_WINDOW: Window = { start: "09:20", stop: "15:25", weekdays: ["mon", "tue", "wed", "thu", "fri"], ends_next_day: false };

const BY_SESSION = /^(open|close)([+-]\d+)?$/;

/** Shows the field that the choice before it calls for. */
function showHow(moment: HTMLElement): void {
  const how = find<HTMLSelectElement>("[data-how]", moment).value;
  find("[data-clock]", moment).hidden = how !== "clock";
  find("[data-minutes]", moment).hidden = how === "clock" || how === "none";
}

function writeMoment(moment: HTMLElement, value: string | null): void {
  const how = find<HTMLSelectElement>("[data-how]", moment);
  const session = BY_SESSION.exec(value ?? "");
  if (value === null) how.value = "none";
  else if (session) {
    const minutes = session[2] ?? "+0";
    how.value = `${session[1]}${minutes.charAt(0)}`;
    find<HTMLInputElement>("[data-minutes]", moment).value = minutes.slice(1);
  } else {
    how.value = "clock";
    find<HTMLInputElement>("[data-clock]", moment).value = value;
  }
  showHow(moment);
}

/** `920` and `9:20` as `09:20`; anything else as it is, for the server to refuse. */
export function clock(text: string): string {
  const short = /^(\d{1,2})[:.]?(\d\d)$/.exec(text.trim());
  return short ? `${short[1]?.padStart(2, "0")}:${short[2]}` : text.trim();
}

function readMoment(moment: HTMLElement): string | null {
  const how = find<HTMLSelectElement>("[data-how]", moment).value;
  if (how === "none") return null;
  if (how === "clock") return clock(find<HTMLInputElement>("[data-clock]", moment).value);
  const minutes = find<HTMLInputElement>("[data-minutes]", moment).value.trim() || "0";
  return Number(minutes) === 0 ? `${how.slice(0, -1)}+0` : `${how}${minutes}`; // as the server writes it
}

const part = (window: HTMLElement, name: "start" | "stop") => find(`[data-moment=${name}]`, window);

/** The next day makes sense only between two clock times. */
export function showWindow(window: HTMLElement): void {
  const [start, stop] = [part(window, "start"), part(window, "stop")];
  showHow(start);
  showHow(stop);
  const areClocks = [start, stop].every((moment) => find<HTMLSelectElement>("[data-how]", moment).value === "clock");
  find("[data-overnight-label]", window).hidden = !areClocks;
}

export function writeWindow(window: HTMLElement, value: Window): void {
  writeMoment(part(window, "start"), value.start);
  writeMoment(part(window, "stop"), value.stop);
  find<HTMLInputElement>("[data-overnight]", window).checked = value.ends_next_day;
  for (const box of all<HTMLInputElement>("[data-weekday]", window)) box.checked = value.weekdays.includes(box.value);
  showWindow(window);
}

export function readWindow(window: HTMLElement): Window {
  const isOvernight = !find("[data-overnight-label]", window).hidden && find<HTMLInputElement>("[data-overnight]", window).checked;
  return {
    start: readMoment(part(window, "start")) ?? "",
    stop: readMoment(part(window, "stop")),
    weekdays: all<HTMLInputElement>("[data-weekday]", window).filter((box) => box.checked).map((box) => box.value),
    ends_next_day: isOvernight,
  };
}

/** Names the windows, for those who hear and do not see that they stand in a list. */
export function number(windows: HTMLElement[]): void {
  windows.forEach((window, index) => {
    window.ariaLabel = `Window ${index + 1}`;
    find("[data-remove]", window).hidden = windows.length === 1;
  });
}
