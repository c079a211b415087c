// The figures that matter, one card for each.

import { curve } from "./curve.js";
import { $, tableRows, write } from "./dom.js";
import { bytes, count, NONE, rate, share, size, within } from "./format.js";

const sum = (of) => Object.values(of ?? {}).reduce((a, b) => a + b, 0);

const delivered = (s) => s.frames.delivered;
const deliveredBytes = (s) => s.frames.bytes;
const taken = (s) => s.frames.taken;
const refused = (s) => sum(s.frames.refused);
const inFlight = (s) => s.frames.in_flight;
const connections = (s) => (s.connections ?? []).reduce((n, place) => n + place.count, 0);
const online = (s) => s.users.online ?? 0;
const window = (s) => s.window;
const logins = (s) => sum(s.logins);
const crashes = (s) => sum(s.crashes);
const settled = (s) => s.frames.settle.reduce((n, settle) => n + settle.frames, 0);

// each is what there was of something a second.
const each = (text) => (text === NONE ? NONE : `${text}/s`);
const perSecond = (n) => each(rate(n));

// TEXTS are what elements show, by their id, of a History.
const TEXTS = {
  delivered: (h) => rate(h.rate(delivered)),
  "delivered-bytes": (h) => each(bytes(h.rate(deliveredBytes))),
  taken: (h) => perSecond(h.rate(taken)),
  "delivered-all": (h) => count(delivered(h.last)),
  refused: (h) => rate(h.rate(refused)),
  "refused-share": (h) => share(h.gained(refused) / h.gained(taken)),
  "refused-all": (h) => count(refused(h.last)),
  mislaid: (h) => count(h.last.frames.mislaid),
  "in-flight": (h) => count(inFlight(h.last)),
  settled: (h) => count(h.gained(settled)),
  p50: (h) => within(h.settledWithin(0.5)),
  p99: (h) => within(h.settledWithin(0.99)),
  connections: (h) => count(connections(h.last)),
  users: (h) => count(online(h.last)),
  away: (h) => count(h.last.users.away ?? 0),
  sessions: (h) => count(h.last.sessions),
  pins: (h) => count(h.last.pins),
  takeovers: (h) => count(h.last.takeovers),
  window: (h) => size(window(h.last))[0],
  "window-unit": (h) => size(window(h.last))[1],
  stuck: (h) => count(h.last.stuck),
  queue: (h) => count(h.last.queue),
  logins: (h) => rate(h.rate(logins)),
  crashes: (h) => count(crashes(h.last)),
};

// CURVES are what is drawn, and how its peak is written.
const CURVES = {
  delivered: [(h) => h.rates(delivered), perSecond],
  refused: [(h) => h.rates(refused), perSecond],
  "in-flight": [(h) => h.levels(inFlight), count],
  connections: [(h) => h.levels(connections), count],
  users: [(h) => h.levels(online), count],
  window: [(h) => h.levels(window), bytes],
  logins: [(h) => h.rates(logins), perSecond],
  crashes: [(h) => h.rates(crashes), perSecond],
};

const first = ([name]) => name;
const loginRows = tableRows($("logins-body"), first, [[first], [([, n]) => rate(n), "number"], [([, , n]) => count(n), "number"]]);
const crashRows = tableRows($("crashes-body"), first, [[first], [([, n]) => count(n), "number"]]);
let placeRows;
let transports;

export function showFigures(history) {
  for (const [id, text] of Object.entries(TEXTS)) write($(id), text(history));
  for (const [id, [points, text]] of Object.entries(CURVES)) {
    write($(`${id}-peak`), `peak ${text(curve($(`${id}-curve`), points(history)))}`);
  }
  for (const element of document.querySelectorAll(".alarming")) element.classList.toggle("alarm", !/^[0–]$/.test(element.textContent));
  const { last } = history;
  loginRows.show(Object.keys(last.logins).map((kind) => [kind, history.rate((s) => s.logins[kind]), last.logins[kind]]));
  crashRows.show(Object.entries(last.crashes));
  showPlaces(last.connections ?? []);
}

// showPlaces shows how many connections there are: a row for each state, a column for each transport.
function showPlaces(places) {
  const names = [...new Set(places.map((place) => place.transport))];
  if (String(names) !== transports) {
    transports = String(names);
    $("connections-body").replaceChildren();
    const head = document.createElement("tr");
    head.append(document.createElement("td"), ...names.map(heading));
    $("connections-head").replaceChildren(head);
    const columns = names.map((name) => [([, row]) => count(row.find((place) => place.transport === name)?.count), "number"]);
    placeRows = tableRows($("connections-body"), first, [[first], ...columns]);
  }
  placeRows.show(Object.entries(Object.groupBy(places, (place) => place.state)));
}

function heading(text) {
  const th = document.createElement("th");
  th.scope = "col";
  th.textContent = text;
  return th;
}
