// The symmetric half of the cryptography, as the browser has it (WebCrypto), under the names of docs/session.md.

import { concat, EMPTY, uint, utf8 } from "./bytes.js";

export const hash = async (...parts) => new Uint8Array(await crypto.subtle.digest("SHA-256", concat(...parts)));

export async function hmac(key, ...parts) {
  const imported = await crypto.subtle.importKey("raw", key, { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
  return new Uint8Array(await crypto.subtle.sign("HMAC", imported, concat(...parts)));
}

/** extract and expand are the two halves of HKDF-SHA-256 (RFC 5869). WebCrypto has only both in one. */
export const extract = (salt, input) => hmac(salt, input);

export async function expand(prk, info, size) {
  let block = EMPTY;
  let out = EMPTY;
  for (let i = 1; out.length < size; i++) {
    block = await hmac(prk, block, utf8(info), uint(i, 1));
    out = concat(out, block);
  }
  return out.slice(0, size);
}

const aes = (key, use) => crypto.subtle.importKey("raw", key, "AES-GCM", false, [use]);

/** encrypt is AES-256-GCM, the tag behind the ciphertext. */
export async function encrypt(key, iv, additionalData, plain) {
  const algorithm = { name: "AES-GCM", iv, additionalData };
  return new Uint8Array(await crypto.subtle.encrypt(algorithm, await aes(key, "encrypt"), plain));
}

/** decrypt throws if the tag is wrong. */
export async function decrypt(key, iv, additionalData, sealed) {
  const algorithm = { name: "AES-GCM", iv, additionalData };
  return new Uint8Array(await crypto.subtle.decrypt(algorithm, await aes(key, "decrypt"), sealed));
}
