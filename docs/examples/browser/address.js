// A relay's address: ws://host:port/path, or wss:// over TLS. With the relay's id in front of the host,
// ws://ID@host:port/path, no other relay is taken for it (docs/protocol.md, Proof of possession).

import { unbase64 } from "./bytes.js";

const ID = /^[A-Za-z0-9_-]{43}$/;

/** parseAddress returns the URL to connect to, and the relay's id if the address has one. It throws if it is none. */
export function parseAddress(text) {
  const found = /^(wss?:\/\/)(?:([^@/]*)@)?([^@/]+)(\/.*)?$/i.exec(text.trim());
  if (!found) throw new Error("A relay's address looks like ws://127.0.0.1:8000/ or wss://ID@relay.example/.");
  const [, scheme, id, host, path = "/"] = found;
  if (id !== undefined && !ID.test(id)) {
    throw new Error("What stands in front of the @ is the relay's id, of 43 characters, and this is none.");
  }
  const url = scheme + host + path;
  if (!URL.canParse(url)) throw new Error("This is no address: " + url);
  return { url, id: id && unbase64(id) };
}
