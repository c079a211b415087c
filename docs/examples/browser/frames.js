// Frames: the table of docs/protocol.md, and how a stream of bytes is cut into them.

import { concat, EMPTY, number, uint, words, Fields } from "./bytes.js";

export const TYPE = {
  LOGIN: 0x01, // from the relay: LoginAccepted
  START: 0x02, // from the relay: SessionRequested
  ACCEPT: 0x03, // from the relay: SessionAccepted
  MESSAGE: 0x04,
  ERROR: 0x05,
  HELLO: 0x10, // from the relay: Welcome
  PROVE: 0x11,
  PING: 0x14,
  PONG: 0x15,
  END_SESSION: 0x16,
  PRESENCE: 0x18,
  RESTARTING: 0x1d,
};

export const CODE = {
  MALFORMED: 1, TOO_LARGE: 2, UNSUPPORTED: 3, NOT_LOGGED_IN: 4, ALREADY_LOGGED_IN: 5, BAD_KEY: 6, KEY_IN_USE: 7,
  PROOF_REQUIRED: 8, PROOF_INVALID: 9, UNAVAILABLE: 10, NO_REQUEST: 11, NO_SESSION: 12, OFFLINE: 13, BUSY: 14,
  RATE_LIMITED: 15, LIMIT: 16, TIMEOUT: 17, REPLACED: 18, SHUTTING_DOWN: 19, INTERNAL: 20, QUOTA: 21, EXPIRED: 22,
  NOT_ALLOWED: 23,
};

const HEADER = 5;
const LONGEST = 66048; // the longest payload that a relay sends (Frames)
const LONGEST_KEY = 1024; // (Keys)

/** frame returns a frame's bytes. */
export const frame = (type, payload) => concat(uint(type, 1), uint(payload.length, 4), payload);

/** Splitter cuts a stream into frames. Their borders have nothing to do with those of the pieces in which it comes. */
export class Splitter {
  #rest = EMPTY;

  /** push takes the next piece, and returns the frames that are whole by now. It throws if a frame is too long. */
  push(piece) {
    this.#rest = concat(this.#rest, piece);
    const frames = [];
    while (this.#rest.length >= HEADER) {
      const size = number(this.#rest.subarray(1, HEADER));
      if (size > LONGEST) throw new Error("This is no relay, or a broken one: it sends more than a frame may hold.");
      if (this.#rest.length < HEADER + size) break;
      frames.push({ type: this.#rest[0], payload: this.#rest.slice(HEADER, HEADER + size) });
      this.#rest = this.#rest.slice(HEADER + size);
    }
    return frames;
  }
}

/** splitKey takes the key from the front of a payload: it ends where its DER header says (Keys, As a peer). */
export function splitKey(payload) {
  const lengths = payload[1] === 0x82 ? 2 : payload[1] === 0x81 ? 1 : 0;
  const size = lengths > 0 ? number(payload.subarray(2, 2 + lengths)) : payload[1];
  const shortest = [0, 0x80, 0x100][lengths];
  const end = 2 + lengths + size;
  if (payload[0] !== 0x30 || (lengths === 0 && size >= 0x80) || size < shortest || end > LONGEST_KEY || end > payload.length) {
    throw new Error("The relay sent something without the key of who it is from.");
  }
  return { key: payload.slice(0, end), rest: payload.slice(end) };
}

/** Refused is an Error of the relay. Its words are for people, and may be anything: show them as text. */
export class Refused extends Error {
  constructor(payload) {
    const fields = new Fields(payload);
    const code = fields.number(2);
    const request = fields.number(1);
    const nth = fields.number(8);
    const said = words(fields.rest());
    if (fields.short) throw new Error("This is no relay, or a broken one: it sends an Error that is too short.");
    const name = Object.keys(CODE).find((key) => CODE[key] === code) ?? `code ${code}`;
    super(`The relay says ${name}: ${said}`);
    Object.assign(this, { code, request, number: nth });
  }
}

export const ELEMENT = {
  FEATURES: 1, NONCE: 2, RELAY_ID: 3, MAX_PAYLOAD: 4, PING_INTERVAL: 5, SOFTWARE: 6, SIGNATURE: 7,
};

/** element returns an element of a Hello. */
export const element = (id, value) => concat(uint(id, 1), uint(value.length, 2), value);

const SIZES = { 1: 4, 2: 32, 3: 32, 4: 4, 5: 4, 7: 64 }; // of those that have one

/** elements returns those of a Welcome, in order. It throws if one is cut off, and if one that we know is wrong. */
export function elements(payload) {
  const fields = new Fields(payload);
  const found = [];
  for (let start = 0; start < payload.length; ) {
    const id = fields.number(1);
    const value = fields.take(fields.number(2));
    const known = Object.values(ELEMENT).includes(id);
    const twice = found.some((other) => other.id === id);
    if (fields.short || (known && twice) || (SIZES[id] ?? value.length) !== value.length) {
      throw new Error("This is no relay, or a broken one: its Welcome cannot be read.");
    }
    found.push({ id, value, start });
    start += 3 + value.length;
  }
  return found;
}
