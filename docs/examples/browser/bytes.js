// Bytes: put together, compared, and turned into numbers and text. Numbers on the wire are big-endian.

export const EMPTY = new Uint8Array();

/** concat puts bytes one behind the other. */
export function concat(...parts) {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** compare orders bytes as the protocol does: below 0 if a is the smaller, 0 if they are the same. */
export function compare(a, b) {
  for (let i = 0; i < Math.min(a.length, b.length); i++) {
    if (a[i] !== b[i]) return a[i] - b[i];
  }
  return a.length - b.length;
}

export const equal = (a, b) => compare(a, b) === 0;

/** uint writes a number in so many bytes. */
export function uint(value, size) {
  const bytes = new Uint8Array(size);
  for (let i = size - 1; i >= 0; i--) {
    bytes[i] = value % 256;
    value = Math.floor(value / 256);
  }
  return bytes;
}

/** number reads one. Above 2^53 it is rounded; no number that counts anything gets there. */
export const number = (bytes) => bytes.reduce((value, byte) => value * 256 + byte, 0);

export const big = (bytes) => BigInt("0x0" + hex(bytes));

export const hex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");

export const unhex = (text) => Uint8Array.from(text.match(/../g) ?? [], (pair) => parseInt(pair, 16));

export const base64 = (bytes) => btoa(String.fromCharCode(...bytes));

/** unbase64 reads base64, and base64url as well; it throws if it is neither. */
export const unbase64 = (text) =>
  Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (char) => char.charCodeAt(0));

export const utf8 = (text) => new TextEncoder().encode(text);

/** words reads text for people. What is no UTF-8 becomes �. */
export const words = (bytes) => new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);

export const random = (size) => crypto.getRandomValues(new Uint8Array(size));

/** Fields takes bytes apart from the front. Who takes more than there is finds it in `short`. */
export class Fields {
  #rest;
  short = false;

  constructor(bytes) {
    this.#rest = bytes;
  }

  take(size) {
    if (size > this.#rest.length) this.short = true;
    const part = this.#rest.slice(0, size);
    this.#rest = this.#rest.slice(size);
    return part;
  }

  number(size) {
    return number(this.take(size));
  }

  rest() {
    return this.take(this.#rest.length);
  }
}
