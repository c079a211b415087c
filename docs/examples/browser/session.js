// A session that is open, or about to be: what is said in it, what is owed, and what has become of it
// (docs/session.md, from Records on). Its methods are called one after the other, never two at once: see mailbox.js.

import { concat, utf8, words } from "./bytes.js";
import { asks, decode, encode, KIND, parseResume, resumeBody } from "./contents.js";
import { Fault, FAULT, isTampering } from "./faults.js";
import { CODE } from "./frames.js";
import { Inbox } from "./inbox.js";
import { Ledger } from "./ledger.js";
import { Outbox } from "./outbox.js";
import { Pause } from "./pause.js";
import { Opener, Sealer } from "./records.js";
import { Renewal } from "./renewal.js";
import { Resuming } from "./resuming.js";

const PROBE_AFTER = 15000; // ms in which nothing is heard and nothing asked
const SILENCE = 30000; // ms without an answer
const ERROR_WITHIN = 2000; // ms for an Error that explains what is missing
const REPORT_EVERY = 8; // so many records that ask are answered by one report, if more wait to be read
const STALE = 8; // records that an initiator drops before the peer's first, which may be of an older session
const AGAIN = [CODE.BUSY, CODE.OFFLINE, CODE.INTERNAL]; // what is refused so is said again

export class Session {
  opened; // whether the peer was heard, or is known to be there
  over; // how it has ended: { fault }, { refused }, { left }, or { done }; undefined while it lives
  hold = false; // nothing is said while a newer session is about to open
  away = false; // whether the relay says that the peer is gone
  inbox = new Inbox();
  outbox = new Outbox();

  #owed = 0; // records that ask, and have no report yet
  #probe = false; // whether to ask, if nothing else does
  #abortedBy; // the counter of our Abort
  #abort; // the code of an Abort that is to be said again
  #pause;
  #resuming = new Resuming();
  #connected = true;
  #stale = 0;
  #heard;
  #asked;

  /** `transmit` sends a record, and notes its counter, for Errors; `tell` tells the user; `identity` and `peer` are keys. */
  constructor({ initiator, identity, peer, keys, clock, transmit, tell, renewEvery }) {
    Object.assign(this, { initiator, clock, transmit, tell, opened: initiator });
    const ours = concat(identity.fingerprint, peer.fingerprint);
    const theirs = concat(peer.fingerprint, identity.fingerprint);
    this.sealer = new Sealer(initiator ? keys.initiator : keys.responder, ours);
    this.opener = new Opener(initiator ? keys.responder : keys.initiator, theirs);
    this.ledger = new Ledger(clock);
    this.renewal = new Renewal({ session: this, identity, peer, every: renewEvery });
    this.#pause = new Pause(clock);
    this.#probe = initiator; // the responder waits for a first record
    this.#heard = this.#asked = clock.awake;
  }

  // What the user does.

  /** say has a text said when it is its turn. */
  say(text) {
    return this.outbox.add(KIND.TEXT, utf8(text));
  }

  /** end says that this is all from our side. */
  end(reason = "") {
    if (this.ending) return;
    this.ending = true;
    this.outbox.add(KIND.END, utf8(reason));
  }

  /** giveUp ends it at once, and tells the peer why. */
  async giveUp(code) {
    if (this.over) return;
    this.#end({ fault: new Fault(code) });
    await this.#sayAbort(code);
  }

  // What comes.

  /** open returns what is in a record. It throws a Fault if that does not open here; then nothing has changed. */
  async open(record) {
    return this.opener.open(record);
  }

  /** hear takes what was in a record. */
  async hear(content) {
    if (!this.over) await this.#guarded(() => this.#hear(decode(content)));
  }

  /** unopened says that a record did not open here, nor anywhere else. */
  async unopened(fault) {
    const mayBeOld = this.initiator && this.opener.received === 0 && this.#stale++ < STALE;
    if (!mayBeOld) await this.#wrong(fault);
  }

  /** refused takes the relay's Error about a record of ours. */
  async refused(counter, error) {
    if (this.over) return this.#refuseAbort(counter, error.code);
    await this.#guarded(() => this.#refuse(counter, error));
  }

  /** left takes the relay's word that the session is over. */
  left(reason) {
    this.#end({ left: reason });
  }

  /** presence takes the relay's word for whether the peer is connected. */
  presence(online) {
    this.away = !online;
    if (online) this.#pause.cutShort();
    else this.#excuse();
  }

  /** broke says that our connection ended: whatever has no outcome may be lost (Resuming). */
  broke() {
    this.#connected = false;
    this.#resuming.interrupted();
    this.#doubt();
  }

  /** connected says that there is a new one. */
  connected() {
    this.#connected = true;
    this.#heard = this.#asked = this.clock.awake;
  }

  /** replaced says that another session with the same peer has opened. */
  replaced() {
    this.#end({ replaced: true });
  }

  // What is said.

  /** pump says what there is to say. `busy` is whether more of the peer's waits to be read. */
  async pump(busy) {
    if (!this.#connected || this.#pause.lasts) return;
    if (this.#abort) await this.#sayAbort(this.#abort);
    if (this.over || this.hold || !this.opened) return;
    await this.#guarded(async () => {
      if (this.#resuming.due) await this.#resume();
      if (this.#resuming.unsure) return;
      if (this.#pause.careful) await this.#tryOne();
      else await this.#sayAll();
      if (this.#owed >= (busy ? REPORT_EVERY : 1)) await this.#send(KIND.CONFIRM);
      this.#look();
    });
  }

  /** tick looks at the clock. */
  async tick() {
    const { awake } = this.clock;
    if (this.over || !this.#connected || !this.opened) return;
    if (!this.#resuming.unsure && awake - (this.ledger.disagrees ?? awake) > ERROR_WITHIN) {
      await this.#wrong(new Fault(FAULT.WITHHELD));
    } else if (this.ledger.silentFor > SILENCE || this.#resuming.unansweredFor(awake) > SILENCE) {
      await this.#wrong(new Fault(FAULT.SILENCE));
    } else if (awake - Math.max(this.#heard, this.#asked) > PROBE_AFTER) {
      this.#probe = true;
    }
  }

  async #sayAll() {
    if (this.renewal.due) await this.renewal.start();
    for (let message = this.outbox.next(); message; message = this.outbox.next()) await this.#sayMessage(message);
    if (this.#probe) await this.#send(KIND.PROBE);
  }

  // tryOne says one thing that asks, after a pause, and nothing else until that has arrived.
  async #tryOne() {
    if (this.#pause.trial !== undefined) return;
    this.#pause.trial = this.sealer.counter;
    const message = this.outbox.next();
    if (message) await this.#sayMessage(message);
    else await this.#send(KIND.PROBE);
  }

  async #resume() {
    const body = resumeBody(this.#resuming.due, this.inbox.taken, this.inbox.ahead);
    this.#resuming.said(this.sealer.counter, this.clock.awake);
    await this.#send(KIND.RESUME, { body });
  }

  #sayMessage(message) {
    return this.#send(message.kind, { body: message.body, message });
  }

  async #sayAbort(code) {
    this.#abort = undefined;
    this.#abortedBy = this.sealer.counter;
    try {
      await this.#send(KIND.ABORT, { body: Uint8Array.of(code) });
    } catch {
      // The session is used up. The peer learns it by silence.
    }
  }

  async #send(kind, { body, message } = {}) {
    const { next, received } = this.opener;
    const content = encode({ kind, next, received, taken: this.inbox.taken, number: message?.number, body });
    const { counter } = this.sealer;
    const record = await this.sealer.seal(content);
    this.ledger.add(counter, { kind, message, pause: this.#pause.nth });
    this.#owed = 0;
    if (asks(kind)) {
      this.#probe = false;
      this.#asked = this.clock.awake;
    }
    this.transmit(record, counter);
  }

  // What is heard.

  async #hear(content) {
    this.opened = true;
    this.hold = false;
    this.#heard = this.clock.awake;
    this.renewal.heard();
    this.ledger.report(content.next, content.received, this.sealer.counter);
    this.outbox.report(content.taken);
    if (content.kind === KIND.ABORT) return this.#end({ fault: new Fault(content.body[0] ?? 0), byPeer: true });
    if (asks(content.kind)) this.#owed++;
    if (content.kind === KIND.RESUME) this.#heardResume(parseResume(content.body));
    if (!this.#resuming.unsure) this.ledger.judge();
    if (this.#pause.trial !== undefined && !this.ledger.has(this.#pause.trial)) this.#pause.end();
    if (content.number > 0) await this.#take(this.inbox.put(content));
    this.tell({ type: "taken", number: this.outbox.taken });
  }

  async #take(messages) {
    for (const { kind, body } of messages) {
      if (kind === KIND.TEXT) this.tell({ type: "text", text: words(body) });
      if (kind === KIND.REKEY) await this.renewal.answer(body);
      if (kind === KIND.REKEYED) await this.renewal.finish(body);
      this.inbox.take();
      this.#owed++;
      if (kind === KIND.END) {
        this.#probe = true; // so that it is said again that we have taken it, if that is refused
        this.tell({ type: "farewell", reason: words(body) });
      }
    }
  }

  #heardResume({ step, complete, names }) {
    if (complete > this.outbox.said) throw new Fault(FAULT.MALFORMED);
    const question = this.#resuming.answers(step, this.ledger.next);
    if (question !== undefined) this.ledger.settle(question, names).forEach((message) => this.outbox.again(message));
    if (this.#resuming.heard(step, question !== undefined)) this.#doubt();
  }

  // doubt says that whatever has no outcome may be lost.
  #doubt() {
    this.#probe = false;
    this.away = false; // or it is told again
    this.#pause.end();
    this.ledger.excuse();
  }

  // What is refused.

  #refuse(counter, error) {
    const entry = this.ledger.refuse(counter);
    if (!entry) return;
    const { code } = error;
    const gone = code === CODE.NO_SESSION || code === CODE.OFFLINE;
    if (gone && this.inbox.ended) return this.#end({ left: "" });
    if (!AGAIN.includes(code)) return this.#end({ refused: error });
    this.#owed++;
    if (entry.message) this.outbox.again(entry.message);
    if (entry.kind === KIND.PROBE) this.#probe = true;
    if (entry.kind === KIND.RESUME) this.#resuming.refused(counter);
    if (code === CODE.OFFLINE) this.#excuse();
    if (entry.pause === this.#pause.nth) this.#pause.begin(this.away); // others were sent before this pause
  }

  #refuseAbort(counter, code) {
    if (counter !== this.#abortedBy || !AGAIN.includes(code)) return;
    this.#abort = this.over.fault.code;
    this.#pause.begin(this.away);
  }

  // excuse says that no answer need come, for the peer is away. What was asked is asked again.
  #excuse() {
    this.#pause.trial = undefined;
    if (this.#resuming.unsure) this.#resuming.again();
    else if (this.ledger.asked) this.#probe = true;
    this.ledger.excuse();
  }

  // How it ends.

  async #guarded(job) {
    try {
      await job();
    } catch (fault) {
      await this.#wrong(fault);
    }
  }

  async #wrong(fault) {
    if (!(fault instanceof Fault)) throw fault;
    await this.giveUp(fault.code);
  }

  // look looks whether both have said all that they had to say, and know it.
  #look() {
    if (this.inbox.ended && this.outbox.ended && !this.ledger.asked && this.#owed === 0) this.#end({ done: true });
  }

  #end(how) {
    if (this.over) return;
    this.over = how;
    this.tell({ type: "over", ...how, tampering: isTampering(how.fault?.code), unconfirmed: this.outbox.unconfirmed });
  }
}
