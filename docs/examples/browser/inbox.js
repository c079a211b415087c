// The messages that the peer numbers: each is taken once, in the order of the numbers (docs/session.md, Contents).

import { KIND } from "./contents.js";
import { Fault, FAULT } from "./faults.js";

const ROOM = 64; // how far a message may be above what was taken

export class Inbox {
  taken = 0;
  ended = false; // whether the peer's End was taken
  #ahead = new Map(); // messages that came before their turn
  #end = Infinity; // the number of the peer's End

  /** put takes a message, and returns those whose turn it is. */
  put(message) {
    const { number, kind } = message;
    if (number <= this.taken || this.#ahead.has(number)) throw new Fault(FAULT.CONTRADICTION);
    if (number > this.taken + ROOM || number > this.#end) throw new Fault(FAULT.MALFORMED);
    if (kind === KIND.END) {
      if (this.#end !== Infinity || this.ahead.some((one) => one > number)) throw new Fault(FAULT.MALFORMED);
      this.#end = number;
    }
    this.#ahead.set(number, message);
    const due = [];
    for (let turn = this.taken + 1; this.#ahead.has(turn); turn++) due.push(this.#ahead.get(turn));
    return due;
  }

  /** take marks the next message as taken. */
  take() {
    this.taken++;
    this.#ahead.delete(this.taken);
    this.ended = this.taken === this.#end;
  }

  /** ahead are the numbers of the messages that wait for one before them. */
  get ahead() {
    return [...this.#ahead.keys()];
  }
}
