// Meeting a friend: asking, accepting, and which session a record belongs to (docs/session.md, What is checked, and Asking
// again, and at the same time). Its methods are called one after the other, like those of a session.

import { compare, EMPTY, hex, words } from "./bytes.js";
import { TYPE } from "./frames.js";
import { makeAccept, makeStart, open, readAccept, readStart, seal, Unasked } from "./handshake.js";
import { FAULT } from "./faults.js";
import { Session } from "./session.js";

const ASK_EVERY = 10000; // ms
const REMEMBERED = 4; // Starts of ours that may still be accepted, and of the friend's that we have accepted
const CROSSING = 5000; // ms within which two requests, or two acceptances, have crossed
const FIRST_RECORD = 30000; // ms for the initiator's first record
const ABORT_WITHIN = 5000; // ms for an Abort to be said again
const HOUR = 60 * 60 * 1000;

export class Meeting {
  session; // the one that is open, or was last
  wanted = true; // whether to ask for a session when there is none
  #starts = []; // ours, the newest last
  #theirs; // the friend's newest Start, while we wait for an answer to ours
  #accepted = []; // { session, at }: each opens with the friend's first record in it
  #seen = new Map(); // hashes of the friend's Starts of the last hour, and when they came
  #asked = -Infinity; // when we asked last
  #overSince; // when the session was over
  #connected = false;

  /** `post` sends a frame for the friend, and notes what it was about, for Errors; `tell` tells the user. */
  constructor({ identity, peer, clock, post, tell, renewEvery }) {
    Object.assign(this, { identity, peer, clock, post, tell, renewEvery });
  }

  /** connected says that we are logged in. */
  connected() {
    this.#connected = true;
    this.#asked = -Infinity;
    this.session?.connected();
  }

  /** broke says that we are not any more. Requests, and acceptances that did not open, have ended with the connection. */
  broke() {
    this.#connected = false;
    this.#starts = [];
    this.#theirs = undefined;
    this.#accepted = [];
    if (this.session) {
      this.session.hold = false;
      this.session.broke();
    }
  }

  /** live is the session that is open, if there is one. */
  get live() {
    return this.session && !this.session.over ? this.session : undefined;
  }

  // What comes.

  /** take takes a frame of the friend's. */
  async take({ type, rest }) {
    switch (type) {
      case TYPE.START:
        return this.#believing("A request", () => this.#requested(rest));
      case TYPE.ACCEPT:
        return this.#believing("An answer to our request", () => this.#answered(rest));
      case TYPE.MESSAGE:
        return this.#record(rest);
      case TYPE.END_SESSION:
        return this.#left(rest);
    }
  }

  /** presence takes the relay's word for whether the friend is connected. */
  presence(online) {
    this.live?.presence(online);
    this.tell({ type: "presence", online });
  }

  /** refused takes the relay's Error about something that was posted. */
  async refused(about, error) {
    if (about.session) return about.session.refused(about.counter, error);
    if (about.acceptance) return this.#dropAcceptance(about.acceptance);
    about.start.refused = error.code;
    if (this.#theirs) return this.#accept(this.#theirs);
    this.tell({ type: "refused", code: error.code, text: error.message });
  }

  /** tick looks at the clock. */
  async tick() {
    if (!this.#connected) return;
    await this.session?.tick();
    for (const { session } of this.#accepted.filter(({ at }) => this.clock.awake - at > FIRST_RECORD)) {
      await session.giveUp(FAULT.GAVE_UP);
      this.#dropAcceptance(session);
    }
    this.#forget();
    if (this.wanted && !this.live && this.#accepted.length === 0 && this.clock.now - this.#asked >= ASK_EVERY) await this.#ask();
  }

  async pump(busy) {
    await this.session?.pump(busy);
  }

  // Asking.

  async #ask() {
    this.#asked = this.clock.now;
    const start = await makeStart(this.identity, this.peer);
    this.#starts = [...this.#starts, start].slice(-REMEMBERED);
    this.post(TYPE.START, await seal(this.peer, start.body), { start });
    this.tell({ type: "asking" });
  }

  async #requested(sealed) {
    const start = await readStart(await open(this.identity, sealed), this.identity, this.peer);
    this.#checkTime(start);
    const own = this.#starts.at(-1);
    const waiting = own && own.refused === undefined && this.clock.now - this.#asked <= CROSSING;
    if (waiting && this.#isSmaller) this.#theirs = start;
    else await this.#accept(start);
  }

  // checkTime refuses a Start that was kept or repeated (check 6).
  #checkTime({ hash, time }) {
    const now = Date.now();
    for (const [old, at] of this.#seen) {
      if (now - at > HOUR) this.#seen.delete(old);
    }
    if (Math.abs(now - time) > HOUR) {
      throw new Error("it is not from this hour: the relay has kept it, or one of the two clocks is wrong");
    }
    if (this.#seen.has(hex(hash))) throw new Error("it was sent a second time by the relay, or somebody on the way");
    this.#seen.set(hex(hash), now);
  }

  // isSmaller is whether our Start counts when both have asked at the same time.
  get #isSmaller() {
    return compare(this.identity.fingerprint, this.peer.fingerprint) < 0;
  }

  // Accepting.

  async #accept(start) {
    this.#theirs = undefined;
    const { body, keys } = await makeAccept(this.identity, this.peer, start);
    const session = this.#newSession(false, keys);
    this.#accepted = [...this.#accepted, { session, at: this.clock.awake }].slice(-REMEMBERED);
    if (this.live) this.live.hold = true; // what is said there now would reach a program that does not know of it
    this.post(TYPE.ACCEPT, await seal(this.peer, body), { acceptance: session });
  }

  #dropAcceptance(session) {
    this.#accepted = this.#accepted.filter((one) => one.session !== session);
    if (this.live && this.#accepted.length === 0) this.live.hold = false;
  }

  async #answered(sealed) {
    const crossing = this.#accepted.some(({ at }) => this.clock.awake - at <= CROSSING);
    if (crossing && !this.#isSmaller) return;
    const body = await open(this.identity, sealed);
    const { keys } = await readAccept(body, this.identity, this.peer, this.#starts);
    this.#opens(this.#newSession(true, keys));
  }

  #newSession(initiator, keys) {
    const { identity, peer, clock, renewEvery } = this;
    const session = new Session({
      initiator, identity, peer, keys, clock, renewEvery,
      transmit: (record, counter) => this.post(TYPE.MESSAGE, record, { session, counter }),
      tell: (event) => (session === this.session || event.type !== "over") && this.tell(event),
    });
    return session;
  }

  // opens has a new session take the place of an older one.
  #opens(session) {
    this.session?.replaced();
    this.#overSince = undefined;
    this.session = session;
    this.#accepted = [];
    this.#theirs = undefined;
    this.#starts = [];
    this.tell({ type: "open" });
  }

  // A record belongs to the older session if it opens there, else to one that was accepted.
  async #record(record) {
    const accepted = this.#accepted.map(({ session }) => session);
    let fault;
    for (const session of [this.live, ...accepted].filter(Boolean)) {
      const content = await session.open(record).catch((error) => {
        fault = error;
      });
      if (!content) continue;
      if (session !== this.live) this.#opens(session);
      return session.hear(content);
    }
    if (accepted.length > 0) accepted.forEach((session) => this.#dropAcceptance(session));
    else if (this.live) await this.live.unopened(fault);
    else this.#disown();
  }

  // disown has the relay forget what there is with the friend, but for what we have just asked for.
  #disown() {
    if (this.#starts.length === 0 && this.#accepted.length === 0) this.post(TYPE.END_SESSION, EMPTY);
  }

  // forget has the relay forget a session that is over, when an Abort that is refused has been said again.
  #forget() {
    const { session } = this;
    if (!session?.over || session.forgotten) return;
    this.#overSince ??= this.clock.awake;
    if (session.over.done || this.clock.awake - this.#overSince > ABORT_WITHIN) {
      session.forgotten = true;
      this.#disown();
    }
  }

  #left(reason) {
    this.#accepted = [];
    this.live?.left(words(reason));
  }

  // believing tells the user what was wrong with a part of a handshake, which is then as if it had not come.
  async #believing(what, read) {
    try {
      await read();
    } catch (error) {
      if (!(error instanceof Unasked)) this.tell({ type: "trouble", text: `${what} was refused: ${error.message}.` });
    }
  }
}
