// Contents: what is in a record (docs/session.md, Contents).

import { big, concat, EMPTY, Fields, uint } from "./bytes.js";
import { Fault, FAULT } from "./faults.js";

export const KIND = { CONFIRM: 0, PROBE: 1, TEXT: 2, END: 3, REKEY: 4, REKEYED: 5, ABORT: 6, RESUME: 7 };

export const LONGEST_TEXT = 16384; // bytes
const LONGEST_REASON = 256;
const HEADER = 35;
const BUCKETS = [256, 1024, 4096, 16384];

/** asks reports whether a kind asks for a report. */
export const asks = (kind) => kind !== KIND.CONFIRM && kind !== KIND.ABORT;

export function encode({ kind, next, received, taken, number = 0, body = EMPTY }) {
  const bucket = BUCKETS.find((size) => size >= body.length);
  const header = [uint(kind, 1), uint(next, 8), uint(received, 8), uint(taken, 8), uint(number, 8), uint(body.length, 2)];
  return concat(...header, body, new Uint8Array(bucket - body.length));
}

/** decode throws if the content is malformed. */
export function decode(bytes) {
  const fields = new Fields(bytes);
  const content = {
    kind: fields.number(1),
    next: fields.number(8),
    received: fields.number(8),
    taken: fields.number(8),
    number: fields.number(8),
  };
  const size = fields.number(2);
  const bucket = BUCKETS.find((one) => one >= size);
  content.body = fields.take(size);
  const padding = fields.rest();
  const whole = !fields.short && bytes.length === HEADER + bucket && padding.every((byte) => byte === 0);
  if (!whole || !isSound(content)) throw new Fault(FAULT.MALFORMED);
  return content;
}

// isSound looks at the number and the body of the kinds that we know.
function isSound({ kind, number, body }) {
  switch (kind) {
    case KIND.CONFIRM:
    case KIND.PROBE:
      return number === 0 && body.length === 0;
    case KIND.TEXT:
    case KIND.REKEY:
    case KIND.REKEYED:
      return number > 0;
    case KIND.END:
      return number > 0 && body.length <= LONGEST_REASON && isText(body);
    case KIND.ABORT:
      return number === 0;
    case KIND.RESUME:
      return number === 0 && body.length === 17 && body[0] >= 1 && body[0] <= 3;
    default:
      return true;
  }
}

function isText(body) {
  try {
    new TextDecoder("utf-8", { fatal: true }).decode(body);
    return true;
  } catch {
    return false;
  }
}

/** resumeBody says which of the peer's messages have come: all up to `complete`, and those of `ahead`. */
export function resumeBody(step, complete, ahead) {
  let bits = 0n;
  for (const number of ahead) bits |= 1n << BigInt(number - complete - 1);
  return concat(uint(step, 1), uint(complete, 8), uint(Number(bits >> 32n), 4), uint(Number(bits & 0xffffffffn), 4));
}

/** parseResume returns the step, and whether a message of ours is named. */
export function parseResume(body) {
  const fields = new Fields(body);
  const step = fields.number(1);
  const complete = fields.number(8);
  const ahead = big(fields.take(8));
  const names = (number) =>
    number <= complete || (number <= complete + 64 && ((ahead >> BigInt(number - complete - 1)) & 1n) === 1n);
  return { step, complete, names };
}
