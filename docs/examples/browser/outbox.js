// The messages that we number, until the peer has taken them (docs/session.md, Contents).

import { KIND } from "./contents.js";
import { Fault, FAULT } from "./faults.js";

const ROOM = 32; // so many messages may be not taken when a new text is said

export class Outbox {
  taken = 0; // the last that the peer has taken
  said = 0; // the last that has a number
  #new = []; // not said yet
  #again = []; // to be said again, in the order of their numbers
  #ending = false; // whether we have said our End, or are about to
  #end; // its number, once it has one

  /** add has something said when it is its turn. Rekey and Rekeyed do not wait for texts that have no room. */
  add(kind, body) {
    const message = { kind, body };
    if (kind === KIND.END) this.#ending = true;
    const rekeying = kind === KIND.REKEY || kind === KIND.REKEYED;
    if (rekeying) this.#new.unshift(message);
    else this.#new.push(message);
    return message;
  }

  /** again has a message said again, before all that were not said yet. */
  again(message) {
    this.#again.push(message);
    this.#again.sort((a, b) => a.number - b.number);
  }

  /** next returns what is to be said next, with its number; nothing if there is nothing, or no room. */
  next() {
    if (this.#again.length > 0) return this.#again.shift();
    const message = this.#new[0];
    if (!message || (message.kind === KIND.TEXT && this.said - this.taken >= ROOM)) return undefined;
    this.#new.shift();
    message.number = ++this.said;
    if (message.kind === KIND.END) this.#end = message.number;
    return message;
  }

  /** report takes the peer's word for what it has taken. */
  report(taken) {
    if (taken < this.taken || taken > this.said) throw new Fault(FAULT.MALFORMED);
    this.taken = taken;
  }

  /** ended is whether the peer has taken our End. */
  get ended() {
    return this.taken >= this.#end;
  }

  /** unconfirmed is how many messages the peer has not taken, but for our End. */
  get unconfirmed() {
    return this.said - this.taken + this.#new.length - (this.#ending && !this.ended ? 1 : 0);
  }
}
