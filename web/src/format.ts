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
