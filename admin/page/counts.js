// Why frames and logins were refused, and why connections ended or never began.

import { $, tableRows } from "./dom.js";
import { count } from "./format.js";
import { CODES, REASONS } from "./words.js";

const lately = [(entry) => count(entry.lately), "number"];

const refusals = tableRows($("refusals-body"), (entry) => entry.code, [
  [(entry) => entry.code],
  [(entry) => count(entry.frames), "number"],
  [(entry) => count(entry.logins), "number"],
  lately,
  [(entry) => CODES[entry.code] ?? "", "words"],
]);

const closes = tableRows($("closes-body"), (entry) => `${entry.reason} ${entry.code}`, [
  [(entry) => (entry.code ? `${entry.reason} ${entry.code}` : entry.reason)],
  [(entry) => count(entry.count), "number"],
  lately,
  [(entry) => REASONS[entry.reason] ?? "", "words"],
]);

const turned = tableRows($("turned-body"), (entry) => entry.told, [
  [(entry) => entry.told],
  [(entry) => count(entry.count), "number"],
  lately,
]);

export function showCounts(history) {
  const { last } = history;
  const framesOf = (code) => (s) => s.frames.refused[code] ?? 0;
  const loginsOf = (code) => (s) => s.logins_refused[code] ?? 0;
  const isUsed = (code) => framesOf(code)(last) + loginsOf(code)(last) > 0;
  refusals.show(
    Object.keys(CODES)
      .filter(isUsed)
      .map((code) => {
        const [frames, logins] = [framesOf(code), loginsOf(code)];
        return { code, frames: frames(last), logins: logins(last), lately: history.gained((s) => frames(s) + logins(s)) };
      }),
  );
  closes.show((last.closed ?? []).map((entry) => ({ ...entry, lately: history.gained((s) => endedFor(s, entry)) })));
  turned.show(
    Object.entries(last.turned_away ?? {})
      .sort()
      .map(([told, n]) => ({ told, count: n, lately: history.gained((s) => s.turned_away[told] ?? 0) })),
  );
}

function endedFor(status, { reason, code }) {
  return (status.closed ?? []).find((entry) => entry.reason === reason && entry.code === code)?.count ?? 0;
}
