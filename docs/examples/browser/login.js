// Logging in: Hello and Welcome, the relay's proof, and ours (docs/protocol.md, Hello, and Proof of possession).

import { concat } from "./bytes.js";
import { Refused, TYPE } from "./frames.js";
import { parseAddress } from "./address.js";
import { checkRelay, loginText, newHello } from "./proof.js";
import { Wire } from "./wire.js";

const WITHIN = 30000; // ms

/** Final is an error after which it is of no use to connect again. */
export class Final extends Error {}

/** login connects to the relay at this address, and logs in. It returns the wire. */
export async function login(address, identity) {
  const { url, id } = parseAddress(address);
  const wire = await Wire.open(url).catch(async () => {
    throw new Error(await whyNot(url));
  });
  const limit = setTimeout(() => wire.close(), WITHIN);
  try {
    const hello = newHello();
    wire.send(TYPE.HELLO, hello);
    const welcome = await expect(wire, TYPE.HELLO);
    if (id) await checkRelay(id, hello, welcome).catch((error) => Promise.reject(new Final(error.message)));
    const signature = await identity.sign(await loginText(hello, welcome, identity.key));
    wire.send(TYPE.PROVE, concat(identity.key, signature));
    await expect(wire, TYPE.LOGIN);
    return wire;
  } catch (error) {
    wire.close();
    throw error;
  } finally {
    clearTimeout(limit);
  }
}

// expect returns the payload of the next frame of a type. An Error is thrown; types that we do not know are skipped.
async function expect(wire, type) {
  for (;;) {
    const { type: came, payload } = await wire.next();
    if (came === TYPE.ERROR) throw new Refused(payload);
    if (came === type) return payload;
  }
}

// whyNot finds out why a WebSocket did not open, as far as a page can: whether anything answers there at all.
async function whyNot(url) {
  const { host } = new URL(url);
  try {
    await fetch(url.replace(/^ws/, "http"), { mode: "no-cors", cache: "no-store", signal: AbortSignal.timeout(5000) });
  } catch {
    return `Nobody answers at ${host}.`;
  }
  return (
    `There is a server at ${host}, and it does not take this page's connection. If it is a relay, either the address ends ` +
    `in another path, or the relay has to be told where this page comes from: --ws-origin ${location.origin}`
  );
}
