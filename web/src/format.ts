/** Numbers and times as the host writes them; algohost.domain.money is the same in Python. */

const formats = new Map<number, Intl.NumberFormat>();

function indian(decimals: number): Intl.NumberFormat {
  let format = formats.get(decimals);
  if (!format) {
    const options = { minimumFractionDigits: decimals, maximumFractionDigits: decimals, roundingMode: "halfEven" };
    format = new Intl.NumberFormat("en-IN", options as Intl.NumberFormatOptions);
    formats.set(decimals, format);
  }
  return format;
}

export type Amount = string | number | null | undefined;

/** `₹1,23,456.70`: a dash for nothing; with `sign` "always" a gain has a plus. Strings are exact. */
export function inr(amount: Amount, decimals = 2, sign: "negative" | "always" = "negative"): string {
  if (amount === null || amount === undefined) return "–";
  const text = String(amount);
  const digits = indian(decimals).format(text.replace(/^[-−+]/, "") as Intl.StringNumericLiteral);
  const isZero = !/[1-9]/.test(digits);
  const mark = isZero ? "" : /^[-−]/.test(text) ? "−" : sign === "always" ? "+" : "";
  return `${mark}₹${digits}`;
}

/** Which way an amount points: the colour of profit and loss. */
export function direction(amount: Amount): "up" | "down" | "" {
  const value = Number(amount ?? 0);
  return value > 0 ? "up" : value < 0 ? "down" : "";
}

const whole = new Intl.NumberFormat("en-IN", { maximumFractionDigits: 0 });
export const count = (value: number): string => whole.format(value);

export function megabytes(bytes: number | null | undefined): string {
  return bytes ? `${(bytes / 1_048_576).toFixed(bytes < 104_857_600 ? 1 : 0)} MB` : "–";
}

const ist = (options: Intl.DateTimeFormatOptions) =>
  new Intl.DateTimeFormat("en-GB", { timeZone: "Asia/Kolkata", ...options });
const clockFormat = ist({ hour: "2-digit", minute: "2-digit", second: "2-digit" });
const minuteFormat = ist({ hour: "2-digit", minute: "2-digit" });
const dayFormat = ist({ day: "2-digit", month: "short" });

export const clockTime = (at: Date | number): string => clockFormat.format(at);

/** `10:02:11` for today, `20 Nov 10:02` for another day. */
export function moment(at: Date, now = new Date()): string {
  const day = dayFormat.format(at);
  return day === dayFormat.format(now) ? clockFormat.format(at) : `${day} ${minuteFormat.format(at)}`;
}

/** `42 s`, `5 min 10 s`, `2 h 14 min`, `3 d 4 h`. */
export function duration(seconds: number): string {
  const total = Math.max(0, Math.floor(seconds));
  const [days, hours, minutes] = [Math.floor(total / 86400), Math.floor(total / 3600) % 24, Math.floor(total / 60) % 60];
  if (days) return `${days} d ${hours} h`;
  if (hours) return `${hours} h ${minutes} min`;
  return minutes ? `${minutes} min ${total % 60} s` : `${total} s`;
}

/** `in 1 d 13 h`, `in 5 min`, `in 42 s`, `now`: the same as `in_text` on the server. */
export function until(seconds: number): string {
  const total = Math.floor(seconds);
  const [days, hours, minutes] = [Math.floor(total / 86400), Math.floor(total / 3600) % 24, Math.floor(total / 60) % 60];
  if (total <= 0) return "now";
  if (days) return `in ${days} d ${hours} h`;
  if (hours) return `in ${hours} h ${minutes} min`;
  return minutes ? `in ${minutes} min` : `in ${total} s`;
}

const weekdayFormat = ist({ weekday: "short" });
const A_WEEK_MS = 6 * 86_400_000;

/** When a start comes: `09:20` today, `Mon 09:20` within six days, else `23 Nov 09:20`. */
export function upcoming(at: Date, now: number): string {
  const day = dayFormat.format(at);
  if (day === dayFormat.format(now)) return minuteFormat.format(at);
  return `${at.getTime() - now < A_WEEK_MS ? weekdayFormat.format(at) : day} ${minuteFormat.format(at)}`;
}
