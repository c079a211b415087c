// New keys for a session that has been used for long (docs/session.md, Renewing keys).

import { KIND } from "./contents.js";
import { Fault, FAULT } from "./faults.js";
import { makeAccept, makeStart, readAccept, readStart } from "./handshake.js";

const EVERY = { records: 2 ** 20, time: 24 * 60 * 60 * 1000 };

export class Renewal {
  #session;
  #identity;
  #peer;
  #every;
  #since; // where both counters stood when the keys came, and when that was
  #start; // our Rekey that has no answer yet
  #next; // the responder's new keys, which it uses once the initiator has used its own

  constructor({ session, identity, peer, every = EVERY }) {
    this.#session = session;
    this.#identity = identity;
    this.#peer = peer;
    this.#every = every;
    this.#begin();
  }

  #begin() {
    const { sealer, opener } = this.#session;
    this.#since = { sealed: sealer.counter, opened: opener.next, time: Date.now() };
  }

  /** due is whether it is time to ask. Only the initiator of a session does. */
  get due() {
    const { initiator, ending, sealer, opener } = this.#session;
    if (!initiator || ending || this.#start || opener.expecting) return false;
    const risen = Math.max(sealer.counter - this.#since.sealed, opener.next - this.#since.opened);
    return risen >= this.#every.records || Date.now() - this.#since.time >= this.#every.time;
  }

  async start() {
    this.#start = await makeStart(this.#identity, this.#peer);
    this.#session.outbox.add(KIND.REKEY, this.#start.body);
  }

  /** answer takes a Rekey. */
  async answer(body) {
    const { initiator, ending, opener, outbox } = this.#session;
    if (initiator || this.#next) throw new Fault(FAULT.MALFORMED);
    if (ending) return;
    const { body: accept, keys } = await sound(async () =>
      makeAccept(this.#identity, this.#peer, await readStart(body, this.#identity, this.#peer)),
    );
    opener.expect(keys.initiator);
    this.#next = keys.responder;
    outbox.add(KIND.REKEYED, accept);
  }

  /** finish takes a Rekeyed: our next record is the first under the new keys. */
  async finish(body) {
    const { sealer, opener } = this.#session;
    if (!this.#start) throw new Fault(FAULT.MALFORMED);
    const { keys } = await sound(() => readAccept(body, this.#identity, this.#peer, [this.#start]));
    this.#start = undefined;
    sealer.renew(keys.initiator);
    opener.expect(keys.responder);
    this.#begin();
  }

  /** heard is called after each record: the first under the initiator's new keys brings ours into use. */
  heard() {
    if (!this.#next || this.#session.opener.expecting) return;
    this.#session.sealer.renew(this.#next);
    this.#next = undefined;
    this.#begin();
  }
}

// sound makes a Fault of whatever is wrong with a handshake.
async function sound(read) {
  try {
    return await read();
  } catch {
    throw new Fault(FAULT.MALFORMED);
  }
}
