// Keys: our own, whose private half the browser keeps and never shows, and a friend's.
//
// A user is an RSA key that both signs (RSASSA-PSS) and opens what is sealed to it (RSAES-OAEP). WebCrypto ties a key to
// one algorithm, so each half exists twice here, with the same numbers.

import { base64, concat, equal, unbase64, utf8 } from "./bytes.js";
import { hash } from "./kdf.js";

const BITS = 3072;
const SALT = 32; // bytes
const PSS = { name: "RSA-PSS", hash: "SHA-256" };
const OAEP = { name: "RSA-OAEP", hash: "SHA-256" };
const LABEL = utf8("blubbel session v1"); // (docs/session.md, Sealing)
const SPACES = utf8(" ".repeat(64));

/** signedText is what every signature of the protocol is made over. */
export const signedText = (context, ...parts) => concat(SPACES, utf8(context), Uint8Array.of(0), ...parts);

/** Identity is our own key. What it is made of can be stored in IndexedDB, but nobody can read the secret in it. */
export class Identity {
  constructor({ key, fingerprint, signing, opening }) {
    Object.assign(this, { key, fingerprint, signing, opening });
  }

  static async generate() {
    const algorithm = { ...PSS, modulusLength: BITS, publicExponent: Uint8Array.of(1, 0, 1) };
    const pair = await crypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
    const secret = new Uint8Array(await crypto.subtle.exportKey("pkcs8", pair.privateKey));
    const key = new Uint8Array(await crypto.subtle.exportKey("spki", pair.publicKey));
    const identity = await Identity.of(key, secret);
    secret.fill(0);
    return identity;
  }

  /** of returns the identity of a public key, DER SubjectPublicKeyInfo, and its private half, PKCS #8. */
  static async of(key, secret) {
    return new Identity({
      key,
      fingerprint: await hash(key),
      signing: await crypto.subtle.importKey("pkcs8", secret, PSS, false, ["sign"]),
      opening: await crypto.subtle.importKey("pkcs8", secret, OAEP, false, ["decrypt"]),
    });
  }

  async sign(text) {
    return new Uint8Array(await crypto.subtle.sign({ name: "RSA-PSS", saltLength: SALT }, this.signing, text));
  }

  async unwrap(wrapped) {
    return new Uint8Array(await crypto.subtle.decrypt({ name: "RSA-OAEP", label: LABEL }, this.opening, wrapped));
  }

  /** size is how long a signature is, and what is wrapped for this key: as long as the modulus. */
  get size() {
    return Math.ceil(this.signing.algorithm.modulusLength / 8);
  }
}

/** Peer is another user's public key. */
export class Peer {
  /** of throws if it is no key that could log in (Keys, At login). */
  static async of(key) {
    const peer = new Peer();
    peer.key = key;
    peer.fingerprint = await hash(key);
    try {
      peer.verifying = await crypto.subtle.importKey("spki", key, PSS, true, ["verify"]);
      peer.wrapping = await crypto.subtle.importKey("spki", key, OAEP, true, ["encrypt"]);
      const again = new Uint8Array(await crypto.subtle.exportKey("spki", peer.verifying));
      if (!equal(again, key)) throw new Error("not canonical");
    } catch {
      throw new Error("This is not the public key of a user.");
    }
    const { modulusLength, publicExponent } = peer.verifying.algorithm;
    if (modulusLength < 2048 || modulusLength > 4096 || !equal(publicExponent, Uint8Array.of(1, 0, 1))) {
      throw new Error("A user's key has 2048 to 4096 bits, and the exponent 65537.");
    }
    peer.size = Math.ceil(modulusLength / 8);
    return peer;
  }

  async verifies(text, signature) {
    if (signature.length !== this.size) return false;
    return crypto.subtle.verify({ name: "RSA-PSS", saltLength: SALT }, this.verifying, signature, text);
  }

  async wrap(secret) {
    return new Uint8Array(await crypto.subtle.encrypt({ name: "RSA-OAEP", label: LABEL }, this.wrapping, secret));
  }
}

/** toPEM returns a key as `blubbel id` prints it. */
export const toPEM = (key) =>
  ["-----BEGIN PUBLIC KEY-----", ...base64(key).match(/.{1,64}/g), "-----END PUBLIC KEY-----", ""].join("\n");

/** fromPEM reads what somebody has pasted. */
export function fromPEM(text) {
  const found = /-----BEGIN PUBLIC KEY-----([\sA-Za-z0-9+/=]+)-----END PUBLIC KEY-----/.exec(text);
  if (!found) {
    throw new Error("A public key begins with -----BEGIN PUBLIC KEY----- and ends with -----END PUBLIC KEY-----.");
  }
  try {
    return unbase64(found[1].replace(/\s/g, ""));
  } catch {
    throw new Error("This public key is damaged: what is between its two lines is no base64.");
  }
}

