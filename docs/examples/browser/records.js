// Records: what a Message carries, each encrypted with a key of its own (docs/session.md, Records).

import { concat, Fields, uint } from "./bytes.js";
import { Fault, FAULT } from "./faults.js";
import { decrypt, encrypt, expand } from "./kdf.js";

const LAST = 2 ** 32 - 2; // the last counter
const LEAP = 16384; // how far a counter may be above the one that is due
const WINDOW = 64; // how far below it one that never came is told from one that is repeated
const SHORTEST = 4 + 8 + 16;

const messageKey = (chain) => expand(chain, "blubbel session v1 message", 32);
const nextChain = (chain) => expand(chain, "blubbel session v1 chain", 32);

// nonceOf XORs the counter into the last eight bytes of the IV.
const nonceOf = (iv, counter) => {
  const bytes = uint(counter, iv.length);
  return iv.map((byte, i) => byte ^ bytes[i]);
};

/** Sealer is one direction at its sender. `keys` are the direction's key and IV; `parties` both fingerprints, the sender's first. */
export class Sealer {
  counter = 0; // of the next record
  #epoch = 0;
  #chain;
  #iv;
  #parties;

  constructor({ key, iv }, parties) {
    this.#chain = key;
    this.#iv = iv;
    this.#parties = parties;
  }

  async seal(content) {
    if (this.counter > LAST) throw new Fault(FAULT.USED_UP);
    const header = concat(uint(this.#epoch, 4), uint(this.counter, 8));
    const key = await messageKey(this.#chain);
    const sealed = await encrypt(key, nonceOf(this.#iv, this.counter), concat(header, this.#parties), content);
    this.#chain = await nextChain(this.#chain);
    this.counter++;
    return concat(header, sealed);
  }

  /** renew uses new keys from the next record on. */
  renew({ key, iv }) {
    this.#epoch = this.counter;
    this.#chain = key;
    this.#iv = iv;
  }
}

/** Opener is one direction at its recipient. */
export class Opener {
  next = 0; // one above the highest counter that came
  received = 0;
  #missing = new Set(); // the counters below next that never came, as far down as the window
  #now;
  #new; // the keys that may begin
  #parties;

  constructor({ key, iv }, parties) {
    this.#now = { epoch: 0, chain: key, at: 0, iv };
    this.#parties = parties;
  }

  /** expect takes new keys, which begin with a later record. */
  expect({ key, iv }) {
    this.#new = { chain: key, iv };
  }

  /** expecting is whether new keys were taken, and have not begun. */
  get expecting() {
    return this.#new !== undefined;
  }

  /** open returns the content, or throws a Fault; then nothing has changed. */
  async open(record) {
    const fields = new Fields(record);
    const epoch = fields.number(4);
    const counter = fields.number(8);
    if (record.length < SHORTEST || counter > LAST) throw new Fault(FAULT.FORGED);
    if (counter > this.next + LEAP) throw new Fault(FAULT.WITHHELD);
    if (counter < this.next) throw new Fault(this.#missing.has(counter) ? FAULT.REORDERED : FAULT.REPLAYED);
    const line = this.#line(epoch, counter);
    let { chain } = line;
    for (let at = line.at; at < counter; at++) chain = await nextChain(chain);
    const content = await this.#decrypt(chain, line.iv, counter, record);
    this.#now = { epoch, chain: await nextChain(chain), at: counter + 1, iv: line.iv };
    if (line.begins) this.#new = undefined;
    this.#count(counter);
    return content;
  }

  // line is where the chain stands from which the record's key comes.
  #line(epoch, counter) {
    if (epoch === this.#now.epoch) return this.#now;
    if (this.#new && this.next <= epoch && epoch <= counter) return { ...this.#new, at: epoch, begins: true };
    throw new Fault(FAULT.FORGED);
  }

  async #decrypt(chain, iv, counter, record) {
    const additionalData = concat(record.slice(0, 12), this.#parties);
    try {
      return await decrypt(await messageKey(chain), nonceOf(iv, counter), additionalData, record.slice(12));
    } catch {
      throw new Fault(FAULT.FORGED);
    }
  }

  #count(counter) {
    for (let lost = Math.max(this.next, counter - WINDOW); lost < counter; lost++) this.#missing.add(lost);
    this.next = counter + 1;
    this.received++;
    for (const lost of this.#missing) {
      if (lost < this.next - WINDOW) this.#missing.delete(lost);
    }
  }
}
