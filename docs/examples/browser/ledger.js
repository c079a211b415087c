// What has become of the records that we sent: the peer's reports and the relay's Errors, compared
// (docs/session.md, What becomes of a record, and Resuming).

import { asks } from "./contents.js";
import { Fault, FAULT } from "./faults.js";

export class Ledger {
  next = 0; // as the peer last reported them
  received = 0;
  disagrees = undefined; // since when more is missing than was refused
  #sent = new Map(); // by their counters, those that have no outcome yet
  #refused = []; // counters of refused records that no report has reached yet
  #gone = 0; // how many records below `next` were refused, or lost with a connection
  #forgiven = 0; // below this the last Resume has settled everything
  #clock;

  constructor(clock) {
    this.#clock = clock;
  }

  /** add notes a record that is sent; `entry` has its kind, and its message if it carries one. */
  add(counter, entry) {
    this.#sent.set(counter, { ...entry, at: this.#clock.awake });
  }

  has(counter) {
    return this.#sent.has(counter);
  }

  /** refuse takes an Error, and returns the record's entry; nothing if a Resume had settled it before. */
  refuse(counter) {
    const entry = this.#sent.get(counter);
    if (entry) {
      this.#sent.delete(counter);
      this.#refused.push(counter);
      this.disagrees = undefined; // others may be on their way
      this.judge();
    } else if (counter >= this.#forgiven) {
      throw new Fault(FAULT.CONTRADICTION);
    }
    return entry;
  }

  /** report takes the peer's word for what has come, of the records below `sealed` that we have sent. */
  report(next, received, sealed) {
    if (next < this.next || received < this.received || next > sealed || received > next) throw new Fault(FAULT.MALFORMED);
    this.next = next;
    this.received = received;
    this.#gone += this.#refused.filter((counter) => counter < next).length;
    this.#refused = this.#refused.filter((counter) => counter >= next);
  }

  /** judge compares the last report with the Errors. It has to wait until a Resume has settled what is in it. */
  judge() {
    const below = this.#refused.filter((counter) => counter < this.next);
    const unexplained = this.next - this.received - this.#gone - below.length;
    if (unexplained < 0) throw new Fault(FAULT.CONTRADICTION);
    if (unexplained > 0) {
      this.disagrees ??= this.#clock.awake;
      return;
    }
    this.disagrees = undefined;
    for (const counter of this.#sent.keys()) {
      if (counter < this.next) this.#sent.delete(counter);
    }
  }

  /**
   * settle takes the answer to a question of ours (a Resume, with this counter): what was sent before it and has not come
   * is lost. It returns the messages that have to be said again; `names` tells which have come.
   */
  settle(question, names) {
    const open = [...this.#sent].filter(([counter]) => counter < question);
    const again = open.map(([, entry]) => entry.message).filter((message) => message && !names(message.number));
    const lost = this.next - this.received - this.#gone;
    if (lost < 0) throw new Fault(FAULT.CONTRADICTION);
    if (lost > open.length) throw new Fault(FAULT.WITHHELD);
    if (lost < again.length) throw new Fault(FAULT.MALFORMED);
    this.#gone += lost;
    this.#forgiven = question;
    for (const [counter] of open) this.#sent.delete(counter);
    return again;
  }

  /** excuse makes no silence of what has no outcome: its recipient is away, or our connection broke. */
  excuse() {
    for (const entry of this.#sent.values()) entry.at = Infinity;
  }

  /** asked is whether a record that asks has no outcome yet. */
  get asked() {
    return [...this.#sent.values()].some((entry) => asks(entry.kind));
  }

  /** silentFor is how long ago the oldest record was sent that asks and has no outcome. */
  get silentFor() {
    const questions = [...this.#sent.values()].filter((entry) => asks(entry.kind));
    return this.#clock.awake - Math.min(Infinity, ...questions.map((entry) => entry.at));
  }
}
