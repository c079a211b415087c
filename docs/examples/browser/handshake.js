// The handshake: two bodies, sealed and signed, that give both sides the same keys (docs/session.md, Handshake).
// Whatever throws here is a refusal; its text says what was wrong.

import { concat, EMPTY, equal, Fields, random, uint } from "./bytes.js";
import { isShare, newExponent, share, shared } from "./group.js";
import { decrypt, encrypt, expand, extract, hash, hmac } from "./kdf.js";
import { signedText } from "./keys.js";

const VERSION_AND_SUITE = Uint8Array.of(1, 1);
const INITIATOR = "blubbel session v1 initiator";
const RESPONDER = "blubbel session v1 responder";
const NO_NONCE = new Uint8Array(12); // each sealing key is used once

/** seal encrypts a body to a user. */
export async function seal(peer, body) {
  const key = random(32);
  return concat(await peer.wrap(key), await encrypt(key, NO_NONCE, EMPTY, body));
}

/** open returns what is in a sealed part. */
export async function open(self, sealed) {
  try {
    const key = await self.unwrap(sealed.slice(0, self.size));
    return await decrypt(key, NO_NONCE, EMPTY, sealed.slice(self.size));
  } catch {
    throw new Error("it was not sealed to our key, or changed on its way");
  }
}

// Both bodies begin alike.
const beginning = (exponent, self, peer) =>
  concat(VERSION_AND_SUITE, share(exponent), random(32), self.fingerprint, peer.fingerprint);

// parse takes the parts of a body; tails are the sizes of what it has in front of its signature, and behind it.
function parse(body, self, peer, front, behind) {
  const fields = new Fields(body);
  if (!equal(fields.take(2), VERSION_AND_SUITE)) throw new Error("it is of another version");
  const parts = { share: fields.take(384) };
  fields.take(32);
  const from = fields.take(32);
  const to = fields.take(32);
  parts.front = fields.take(front);
  const rest = fields.rest();
  if (fields.short || rest.length < behind) throw new Error("it is too short");
  if (!equal(from, peer.fingerprint) || !equal(to, self.fingerprint)) throw new Error("it is of other users");
  parts.signature = rest.slice(0, rest.length - behind);
  parts.behind = rest.slice(rest.length - behind);
  parts.unsigned = body.slice(0, body.length - rest.length);
  return parts;
}

/** makeStart returns the first body, its hash, and the secret to keep for it. */
export async function makeStart(self, peer, exponent = newExponent(), time = Date.now()) {
  const unsigned = concat(beginning(exponent, self, peer), uint(time, 8));
  const body = concat(unsigned, await self.sign(signedText(INITIATOR, await hash(unsigned))));
  return { body, hash: await hash(body), exponent };
}

/** readStart takes one apart and checks it (checks 2, 3 and 5), all but its time. */
export async function readStart(body, self, peer) {
  const parts = parse(body, self, peer, 8, 0);
  if (!(await peer.verifies(signedText(INITIATOR, await hash(parts.unsigned)), parts.signature))) {
    throw new Error("its signature is not the friend's");
  }
  return { body, hash: await hash(body), share: parts.share, time: new Fields(parts.front).number(8) };
}

/** makeAccept answers a Start: the second body, and the keys. */
export async function makeAccept(self, peer, start, exponent = newExponent()) {
  if (!isShare(start.share)) throw new Error("its share is none");
  const unsigned = concat(beginning(exponent, self, peer), start.hash);
  const transcript = await hash(start.body, unsigned);
  const signed = concat(unsigned, await self.sign(signedText(RESPONDER, transcript)));
  const keys = await deriveKeys(transcript, shared(start.share, exponent));
  return { body: concat(signed, await hmac(keys.confirm, await hash(start.body, signed))), keys };
}

/** readAccept finds out which of our Starts a body answers, and returns it with the keys (checks 2 to 5, 7 and 8). */
export async function readAccept(body, self, peer, starts) {
  const parts = parse(body, self, peer, 32, 32);
  const start = starts.find((one) => equal(one.hash, parts.front));
  if (!start) throw new Unasked();
  const transcript = await hash(start.body, parts.unsigned);
  if (!(await peer.verifies(signedText(RESPONDER, transcript), parts.signature))) {
    throw new Error("its signature is not the friend's");
  }
  if (!isShare(parts.share)) throw new Error("its share is none");
  const keys = await deriveKeys(transcript, shared(parts.share, start.exponent));
  const confirmed = await hash(start.body, body.slice(0, body.length - 32));
  if (!equal(await hmac(keys.confirm, confirmed), parts.behind)) throw new Error("its confirmation is wrong");
  return { start, keys };
}

/** Unasked is an Accept that answers no Start that we remember. */
export class Unasked extends Error {
  constructor() {
    super("it answers none of our requests");
  }
}

async function deriveKeys(transcript, z) {
  const prk = await extract(transcript, z);
  const secret = (name, size) => expand(prk, `blubbel session v1 ${name}`, size);
  return {
    initiator: { key: await secret("initiator key", 32), iv: await secret("initiator iv", 12) },
    responder: { key: await secret("responder key", 32), iv: await secret("responder iv", 12) },
    confirm: await secret("responder confirm", 32),
  };
}
