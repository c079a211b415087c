// The actors that live: users below the registry, connections below connections.

import { $, tableRows, write } from "./dom.js";
import { bytes, count, span } from "./format.js";

const crashes = (actor) => (actor.crashes > 0 ? `✕ ${count(actor.crashes)}` : "0");
const state = (actor) => (actor.stuck ? `${actor.state} ▲\u00a0stuck` : actor.state);
const isTrouble = (actor) => actor.stuck || actor.crashes > 0;
const mark = (actor) => (isTrouble(actor) ? "trouble" : "");

// since is when an actor was spawned: the same one as long as that is.
const key = (actor) => `${actor.name} ${actor.since}`;

const USER = [
  [(actor) => actor.name, "code"],
  [(actor) => actor.user ?? "", "code"],
  [state],
  [(actor) => count(actor.sessions ?? 0), "number"],
  [(actor) => count(actor.queue), "number"],
  [crashes, "number"],
  [(actor) => span(actor.age, 1), "number spare"],
];
const CONNECTION = [
  [(actor) => actor.name, "code"],
  [(actor) => actor.user ?? "", "code"],
  [state],
  [(actor) => actor.transport],
  [(actor) => (actor.window ? bytes(actor.window) : "0"), "number"],
  [(actor) => count(actor.queue), "number"],
  [crashes, "number spare"],
  [(actor) => span(actor.age, 1), "number spare"],
];

// load is what an actor has to do, in powers of four: rows are not to change places for little. A message counts as 4 KiB.
const level = (load) => Math.ceil(Math.log2(1 + load) / 2);
const loadOf = (actor) => actor.queue * 4096 + (actor.window ?? 0);

// Branch is an actor and its children.
class Branch {
  #name;
  #body;
  #rows;
  #words;
  #load = new Map(); // of each child, which fades: it was busy a moment ago
  #order = [];

  constructor(name, body, columns, words) {
    this.#name = name;
    this.#body = $(body);
    this.#rows = tableRows(this.#body, key, columns, mark);
    this.#words = words;
  }

  show(actor, now) {
    const children = (actor.children ?? []).map((child) => ({ ...child, age: now - Date.parse(child.since) / 1000 }));
    const more = actor.more ?? 0;
    const all = children.length + more;
    showVitals(this.#name, actor, `${count(all)} ${all === 1 ? this.#words[0] : this.#words[1]}`);
    write($(`${this.#name}-more`), more > 0 ? `${count(more)} more ${more === 1 ? this.#words[0] : this.#words[1]}, with less to do.` : "");
    this.#rows.show(this.#sorted(children));
  }

  clear() {
    write($(`${this.#name}-vitals`), "");
    write($(`${this.#name}-more`), "");
    this.#rows.show([]);
  }

  #sorted(children) {
    const before = this.#load;
    this.#load = new Map(children.map((child) => [key(child), Math.max(loadOf(child), (before.get(key(child)) ?? 0) / 2)]));
    const places = new Map(this.#order.map((child, i) => [child, i]));
    const place = (child) => places.get(key(child)) ?? Infinity;
    const isRead = this.#body.closest(".scroll").matches(":hover, :focus-within"); // then everybody stays in place
    const sorted = children.toSorted(
      (a, b) =>
        (isRead && place(a) !== place(b) && place(a) - place(b)) ||
        Number(b.stuck ?? false) - Number(a.stuck ?? false) ||
        level(this.#load.get(key(b))) - level(this.#load.get(key(a))) ||
        b.crashes - a.crashes ||
        b.age - a.age,
    );
    this.#order = sorted.map(key);
    return sorted;
  }
}

const BRANCHES = {
  registry: new Branch("registry", "registry-body", USER, ["user", "users"]),
  connections: new Branch("connections", "connections-list", CONNECTION, ["connection", "connections"]),
};

// showTree shows the top actor and all below it; now is in seconds, by the relay's clock.
export function showTree(top, now) {
  showVitals("relay", top, `for ${span(now - Date.parse(top.since) / 1000)}`);
  for (const child of top.children ?? []) BRANCHES[child.kind].show(child, now);
}

// showNoTree shows why there is none.
export function showNoTree(why) {
  write($("relay-vitals"), why);
  for (const branch of Object.values(BRANCHES)) branch.clear();
}

function showVitals(id, actor, more) {
  const element = $(`${id}-vitals`);
  write($(`${id}-name`), actor.name);
  write(element, `${state(actor)} · ${more} · queue ${count(actor.queue)} · crashes ${crashes(actor)}`);
  element.classList.toggle("alarm", isTrouble(actor));
}
