// The last crashes, and the last connections that have ended.

import { $, Rows, tableRows, write } from "./dom.js";
import { clock, span } from "./format.js";

const nameOf = (id) => id.slice(id.lastIndexOf("/") + 1);

const closes = tableRows($("closed"), (close) => close.at + close.connection, [
  [(close) => clock(close.at)],
  [(close) => nameOf(close.connection), "code"],
  [(close) => close.transport, "spare"],
  [(close) => (close.code ? `${close.reason} ${close.code}` : close.reason)],
  [(close) => (close.logged_in ? "yes" : "no")],
  [(close) => span(close.lasted, 1), "number"],
]);

const crashes = new Rows(
  $("crashed"),
  (crash) => crash.at + crash.actor,
  () => {
    const element = document.createElement("li");
    const details = document.createElement("details");
    const parts = ["summary", "p", "pre"].map((name) => document.createElement(name));
    const [what, done, stack] = parts;
    stack.tabIndex = 0;
    details.append(...parts);
    element.append(details);
    const show = (crash) => {
      write(what, `${clock(crash.at)} ${crash.kind} ${nameOf(crash.actor)}: ${crash.why}`);
      write(done, crash.quarantined ? `${crash.done}; the message crashed it twice, and was put aside` : crash.done);
      write(stack, crash.stack);
    };
    return { element, show };
  },
);

export function showRecent(recent) {
  closes.show(recent.closes);
  crashes.show(recent.crashes);
}
