// How numbers, times and sizes are written. What is not known yet is a dash.

export const NONE = "–";

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const precise = new Intl.NumberFormat("en", { minimumFractionDigits: 1, maximumFractionDigits: 1 });

const isKnown = (n) => n !== undefined && Number.isFinite(n);

export const count = (n) => (isKnown(n) ? whole.format(n) : NONE);

// rate is so many a second: with a decimal where that says something.
export function rate(n) {
  if (!isKnown(n) || n === 0 || n >= 9.95) return count(n);
  return n < 0.1 ? "< 0.1" : precise.format(n);
}

// share is a part of one.
export function share(n) {
  if (!isKnown(n) || n === 0) return isKnown(n) ? "0 %" : NONE;
  return n < 0.001 ? "< 0.1 %" : `${precise.format(n * 100)} %`;
}

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB"];

// size is a number of bytes, and the unit that suits it.
export function size(n) {
  if (!isKnown(n)) return [NONE, ""];
  let unit = 0;
  for (; n >= 1000 && unit < UNITS.length - 1; unit++) n /= 1024;
  return [unit > 0 && n < 99.95 ? precise.format(n) : whole.format(n), UNITS[unit]];
}

export const bytes = (n) => size(n).join(" ").trim();

const SPANS = [
  [86400, "d"],
  [3600, "h"],
  [60, "min"],
  [1, "s"],
];

// span is so many seconds, in the two units that matter; with one of them where most is 1.
export function span(seconds, most = 2) {
  if (!isKnown(seconds)) return NONE;
  if (seconds < 1) return seconds < 0.001 ? "< 1 ms" : `${whole.format(seconds * 1000)} ms`;
  const first = SPANS.findIndex(([length]) => seconds >= length);
  let left = Math.floor(seconds);
  return SPANS.slice(first, first + most)
    .map(([length, unit]) => {
      const n = Math.floor(left / length);
      left -= n * length;
      return `${n} ${unit}`;
    })
    .join(" ");
}

// within is an upper bound in milliseconds; of nothing, undefined.
export function within(ms) {
  if (ms === undefined) return NONE;
  if (!Number.isFinite(ms)) return "more than 10 s";
  return ms < 1000 ? `≤ ${ms} ms` : `≤ ${ms / 1000} s`;
}

const time = new Intl.DateTimeFormat("en-GB", { timeStyle: "medium" });
const day = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });

// clock is a moment: the time, behind the day if it is not today.
export function clock(moment) {
  const is = new Date(moment);
  const isToday = is.toDateString() === new Date().toDateString();
  return isToday ? time.format(is) : `${day.format(is)}, ${time.format(is)}`;
}
