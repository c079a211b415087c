// What a side does after a refusal: it says nothing for a while, and then one thing alone, until that has arrived
// (docs/session.md, Sending again).

const SHORTEST = 100; // ms
const LONGEST = 5000;
const LONGEST_AWAY = 5 * 60 * 1000; // while the relay says that the peer is gone

export class Pause {
  nth = 0; // how many there were: refusals of what was sent before the last make it no longer
  trial; // the counter of the record that is sent alone
  #until = -Infinity;
  #length = 0; // of the last pause; 0 if something has arrived since
  #clock;

  constructor(clock) {
    this.#clock = clock;
  }

  /** lasts is whether nothing may be said now. */
  get lasts() {
    return this.#clock.now < this.#until;
  }

  /** careful is whether one thing has to be said alone, because of a pause before. */
  get careful() {
    return this.#length > 0;
  }

  /** begin begins one, twice as long as the last. */
  begin(away) {
    this.#length = Math.min(Math.max(SHORTEST, 2 * this.#length), away ? LONGEST_AWAY : LONGEST);
    this.#until = this.#clock.now + this.#length * (0.5 + Math.random());
    this.trial = undefined;
    this.nth++;
  }

  /** cutShort ends one, because the peer is there again. */
  cutShort() {
    this.#until = -Infinity;
    this.#length = Math.min(this.#length, SHORTEST);
  }

  /** end says that something has arrived, or that all begins anew. */
  end() {
    this.#until = -Infinity;
    this.#length = 0;
    this.trial = undefined;
  }
}
