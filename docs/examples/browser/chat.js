// Chat is a conversation with one friend over one relay: it connects, and connects again, and hands frames, Errors and the
// clock to the meeting with the friend, one after the other.

import { concat, equal, Fields, hex, random } from "./bytes.js";
import { Clock } from "./clock.js";
import { CODE, Refused, splitKey, TYPE } from "./frames.js";
import { hash } from "./kdf.js";
import { Final, login } from "./login.js";
import { Mailbox } from "./mailbox.js";
import { Meeting } from "./meeting.js";
import { Peer } from "./keys.js";
import { safetyNumber } from "./safety.js";

const FIRST_WAIT = 1000; // ms before connecting again, doubling
const LONGEST_WAIT = 30000;
const PING_AFTER = 30000; // ms in which the relay says nothing
const DEAD_AFTER = 60000;
const FAREWELL = 5000; // ms for the friend to take what we have said, when we leave
const LINGER = 2000; // ms for a friend who says nothing more

// After these it is of no use to connect again, and after REPLACED it would do harm: the other would be replaced in turn.
const FINAL = [CODE.BAD_KEY, CODE.UNSUPPORTED, CODE.PROOF_INVALID, CODE.REPLACED, CODE.NOT_ALLOWED];

export class Chat {
  #address;
  #identity;
  #meeting;
  #peer;
  #tell;
  #mailbox = new Mailbox();
  #clock = new Clock();
  #wire; // while we are logged in
  #about = new Map(); // what each frame was about that the relay may refuse, by its number on this connection
  #quiet; // { pieces, since, pinged }: since when the relay says nothing
  #why; // why the connection ends, if the relay has said so
  #restart; // ms after which the relay says that it will be back
  #leaving; // when to leave at the latest, once we want to
  #closed = false;
  #setLeft;
  #left = new Promise((resolve) => (this.#setLeft = resolve)); // resolves when we have left

  /** open reads the friend's key, and throws if it is none. `tell` is called with what happens. */
  static async open({ address, identity, friend, tell }) {
    if (equal(friend, identity.key)) throw new Error("This is your own key.");
    return new Chat(address, identity, await Peer.of(friend), tell);
  }

  constructor(address, identity, peer, tell) {
    this.#address = address;
    this.#identity = identity;
    this.#peer = peer;
    this.#tell = tell;
    const post = (type, payload, about) => this.#post(type, concat(peer.key, payload), about);
    this.#meeting = new Meeting({ identity, peer, clock: this.#clock, post, tell });
  }

  /** say has a text said, and returns the message, which gets its number when it is its turn. */
  say(text) {
    return this.#do(() => this.#meeting.live?.say(text));
  }

  safetyNumber() {
    return safetyNumber(this.#identity.fingerprint, this.#peer.fingerprint);
  }

  /** leave ends the chat: what was said is still brought to the friend, for a few seconds. Then run returns. */
  leave() {
    return this.#do(() => {
      this.#meeting.wanted = false;
      this.#meeting.live?.end();
      this.#leaving ??= this.#clock.now + FAREWELL;
    });
  }

  /** run keeps the connection until the chat is left. It rejects with what there is no way around. */
  async run() {
    this.#clock.every(() => this.#do(() => this.#tick()));
    let wait; // undefined until it has worked once
    try {
      while (!this.#closed) {
        try {
          const coming = login(this.#address, this.#identity);
          const wire = await Promise.race([coming, this.#left]);
          if (this.#closed) return void coming.then((late) => late.close(), () => {});
          wait = FIRST_WAIT;
          await this.#converse(wire);
        } catch (error) {
          wait = await this.#rest(this.#why ?? error, wait);
          this.#why = undefined;
        }
      }
    } finally {
      this.#closed = true;
      this.#clock.stop();
    }
  }

  // converse reads until the connection ends, and rejects with why.
  async #converse(wire) {
    this.#about.clear();
    this.#quiet = undefined;
    this.#wire = wire;
    this.#tell({ type: "online" });
    try {
      await this.#do(() => this.#meeting.connected());
      for (;;) {
        const { type, payload } = await wire.next();
        await this.#do(() => this.#take(type, payload));
      }
    } finally {
      wire.close();
      this.#wire = undefined;
      await this.#mailbox.put(() => this.#meeting.broke());
    }
  }

  // rest waits before the next connection, and returns how long to wait the time after.
  async #rest(error, wait) {
    if (this.#closed) return wait;
    const final = error instanceof Final || (error instanceof Refused && FINAL.includes(error.code));
    if (final || wait === undefined || this.#leaving !== undefined) throw error;
    const pause = this.#restart ?? wait * (0.75 + Math.random() / 2);
    this.#restart = undefined;
    this.#tell({ type: "offline", text: error.message });
    await Promise.race([new Promise((resolve) => setTimeout(resolve, pause)), this.#left]);
    return Math.min(LONGEST_WAIT, 2 * wait);
  }

  // do runs a job when it is its turn, and then says what there is to say.
  #do(job) {
    return this.#mailbox.put(async () => {
      const result = await job();
      if (this.#wire) await this.#meeting.pump(this.#wire.busy);
      return result;
    });
  }

  #post(type, payload, about) {
    const number = this.#wire?.send(type, payload);
    if (number && about) this.#about.set(number, about);
  }

  async #take(type, payload) {
    switch (type) {
      case TYPE.START:
      case TYPE.ACCEPT:
      case TYPE.MESSAGE:
      case TYPE.END_SESSION:
        return this.#fromPeer(type, splitKey(payload));
      case TYPE.ERROR:
        return this.#refused(new Refused(payload));
      case TYPE.PRESENCE:
        if (equal(splitKey(payload.slice(1)).key, this.#peer.key)) this.#meeting.presence(payload[0] === 1);
        return;
      case TYPE.RESTARTING:
        this.#restart = new Fields(payload).number(4);
    }
  }

  async #fromPeer(type, { key, rest }) {
    if (equal(key, this.#peer.key)) return this.#meeting.take({ type, rest });
    if (type !== TYPE.START) return;
    this.#tell({ type: "stranger", fingerprint: hex(await hash(key)) });
    this.#post(TYPE.END_SESSION, key);
  }

  async #refused(error) {
    if (error.number === 0) {
      this.#why = error; // the connection ends
      return;
    }
    const about = this.#about.get(error.number);
    if (about) await this.#meeting.refused(about, error);
  }

  async #tick() {
    if (this.#closed) return;
    if (this.#wire) this.#listen();
    await this.#meeting.tick();
    if (this.#leaving !== undefined) this.#leave();
  }

  // listen asks the relay for a sign of life when there was none for long, and gives the connection up if none comes.
  #listen() {
    const { awake } = this.#clock;
    if (this.#quiet?.pieces !== this.#wire.pieces) this.#quiet = { pieces: this.#wire.pieces, since: awake };
    if (awake - this.#quiet.since > DEAD_AFTER) {
      this.#why = new Error("The relay does not answer any more.");
      this.#wire.close();
    } else if (awake - this.#quiet.since > PING_AFTER && !this.#quiet.pinged) {
      this.#quiet.pinged = true;
      this.#wire.send(TYPE.PING, random(8));
    }
  }

  #leave() {
    const { now } = this.#clock;
    const { live } = this.#meeting;
    if (live?.outbox.unconfirmed === 0) this.#leaving = Math.min(this.#leaving, now + LINGER);
    if (live && this.#wire && now < this.#leaving) return;
    this.#closed = true;
    this.#post(TYPE.END_SESSION, this.#peer.key);
    this.#wire?.close();
    this.#setLeft();
  }
}
