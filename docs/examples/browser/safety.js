// The safety number (docs/session.md, Safety number).

import { compare, number, utf8 } from "./bytes.js";
import { expand, hash } from "./kdf.js";

const ROUNDS = 5200;

/** safetyNumber returns the number of two users, the same for both. */
export async function safetyNumber(one, other) {
  const [low, high] = [one, other].sort(compare);
  let h = await hash(utf8("blubbel safety v1"), Uint8Array.of(0), low, high);
  for (let i = 0; i < ROUNDS; i++) h = await hash(h, low, high);
  const digits = await expand(h, "blubbel safety v1 digits", 60);
  const groups = [];
  for (let i = 0; i < 60; i += 5) {
    groups.push(String(number(digits.subarray(i, i + 5)) % 100000).padStart(5, "0"));
  }
  return groups.join(" ");
}
