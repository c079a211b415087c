// Both proofs of a login: the relay's, that it is the one in the address, and ours, that our key is ours
// (docs/protocol.md, Proof of possession).

import { concat, equal, random, uint, utf8 } from "./bytes.js";
import { element, ELEMENT, elements } from "./frames.js";
import { hash } from "./kdf.js";
import { signedText } from "./keys.js";

const PRESENCE = 1; // the feature's bit

// A browser cannot know the exporter of its TLS connection. So there is no binding in a WebSocket, and its type is 0.
const NO_BINDING = new Uint8Array(1 + 32);

/** newHello returns the payload of a Hello. */
export const newHello = () =>
  concat(
    element(ELEMENT.FEATURES, uint(PRESENCE, 4)),
    element(ELEMENT.NONCE, random(32)),
    element(ELEMENT.SOFTWARE, utf8("blubbel in a browser")),
  );

/** relayText is what a relay signs. */
export const relayText = async (hello, welcomeBeforeSignature) =>
  signedText("blubbel relay v1", await hash(hello), await hash(welcomeBeforeSignature), NO_BINDING);

/** loginText is what we sign. */
export const loginText = async (hello, welcome, key) =>
  signedText("blubbel login v1", await hash(hello), await hash(welcome), NO_BINDING, await hash(key));

/** checkRelay throws if a Welcome is not from the relay with this id. */
export async function checkRelay(id, hello, welcome) {
  const said = elements(welcome);
  const named = said.find((one) => one.id === ELEMENT.RELAY_ID);
  const last = said.at(-1);
  if (!named || !equal(named.value, id)) {
    throw new Error("This is another relay than the one in the address. Nothing was told to it.");
  }
  if (last.id !== ELEMENT.SIGNATURE || !(await signed(id, last.value, hello, welcome.subarray(0, last.start)))) {
    throw new Error("The relay says that it is the one in the address, and cannot prove it. Nothing was told to it.");
  }
}

async function signed(id, signature, hello, welcomeBeforeSignature) {
  const key = await crypto.subtle.importKey("raw", id, "Ed25519", true, ["verify"]).catch(() => {
    throw new Error("This browser cannot check who the relay is: it does not know Ed25519. Nothing was told to it.");
  });
  return crypto.subtle.verify("Ed25519", key, signature, await relayText(hello, welcomeBeforeSignature));
}
