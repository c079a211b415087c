// Rules that a friend and a relay keep, and others might not. Run with: node --test

import assert from "node:assert/strict";
import test from "node:test";
import { uint } from "../bytes.js";
import { KIND } from "../contents.js";
import { FAULT } from "../faults.js";
import { hash } from "../kdf.js";
import { makeAccept, makeStart, readStart } from "../handshake.js";
import { Inbox } from "../inbox.js";
import { Identity, Peer } from "../keys.js";
import { Ledger } from "../ledger.js";
import { Outbox } from "../outbox.js";
import { Opener, Sealer } from "../records.js";
import { publicKey, secret } from "./vectors.js";

const fails = (job, code) => assert.throws(job, { code });

test("the ledger", () => {
  const sent = (...messages) => {
    const ledger = new Ledger({ awake: 0 });
    messages.forEach((number, counter) => ledger.add(counter, { kind: number ? KIND.TEXT : KIND.CONFIRM, message: number && { number } }));
    return ledger;
  };
  const none = () => false;
  for (const [next, received] of [[4, 1], [2, 3]]) fails(() => sent(1, 2, 3).report(next, received, 3), FAULT.MALFORMED);
  const falling = sent(1, 2, 3);
  falling.report(2, 2, 3);
  fails(() => falling.report(1, 1, 3), FAULT.MALFORMED);

  const lost = sent(1, 2, 0, 0);
  lost.report(4, 1, 4);
  assert.deepEqual(lost.settle(3, (number) => number === 1).map(({ number }) => number), [2]);
  lost.judge(); // one message and one Confirm have not come, and that is explained
  assert.equal(lost.disagrees, undefined);
  assert.equal(lost.refuse(2), undefined); // an Error that comes later is no news

  const kept = sent(1, 2, 0, 0);
  kept.report(2, 2, 4);
  kept.judge();
  kept.report(4, 2, 4);
  fails(() => kept.settle(2, none), FAULT.WITHHELD); // nothing before the question can be lost
  const few = sent(1, 2, 0);
  few.report(3, 3, 3);
  fails(() => few.settle(2, none), FAULT.MALFORMED); // all has come, and no message
});

test("the inbox", () => {
  const text = (number) => ({ number, kind: KIND.TEXT });
  const inbox = new Inbox();
  assert.deepEqual(inbox.put(text(2)), []);
  fails(() => inbox.put(text(2)), FAULT.CONTRADICTION);
  fails(() => inbox.put(text(65)), FAULT.MALFORMED);
  assert.deepEqual(inbox.put(text(1)), [text(1), text(2)]);
  inbox.take();
  inbox.take();
  fails(() => inbox.put(text(1)), FAULT.CONTRADICTION);
  inbox.put(text(5));
  fails(() => inbox.put({ number: 4, kind: KIND.END }), FAULT.MALFORMED); // something is behind it
  inbox.put({ number: 6, kind: KIND.END });
  fails(() => inbox.put(text(7)), FAULT.MALFORMED);
});

test("the outbox has room for 32 texts, and for what is no text", () => {
  const outbox = new Outbox();
  for (let i = 0; i < 40; i++) outbox.add(KIND.TEXT);
  const said = [];
  for (let message = outbox.next(); message; message = outbox.next()) said.push(message.number);
  assert.equal(said.length, 32);
  outbox.add(KIND.REKEY);
  assert.equal(outbox.next().number, 33);
  outbox.report(2);
  assert.equal(outbox.next().number, 34);
  assert.equal(outbox.next(), undefined);
  fails(() => outbox.report(1), FAULT.MALFORMED);
  fails(() => outbox.report(35), FAULT.MALFORMED);
});

test("records that are missing, late and too far ahead", async () => {
  const line = { key: new Uint8Array(32), iv: new Uint8Array(12) };
  const sealer = new Sealer(line, new Uint8Array(64));
  const opener = new Opener(line, new Uint8Array(64));
  const records = [];
  for (let i = 0; i < 70; i++) records.push(await sealer.seal(Uint8Array.of(i)));
  const open = async (i) => (await opener.open(records[i]))[0];
  const refuses = (i, code) => assert.rejects(open(i), { code });
  assert.equal(await open(3), 3);
  await refuses(3, FAULT.REPLAYED);
  await refuses(2, FAULT.REORDERED);
  assert.equal(await open(66), 66);
  await refuses(4, FAULT.REORDERED);
  await refuses(2, FAULT.REPLAYED); // it is too long ago to tell
  assert.deepEqual([opener.next, opener.received], [67, 2]);
  const far = records[69].slice();
  far.set(uint(67 + 16385, 8), 4);
  await assert.rejects(opener.open(far), { code: FAULT.WITHHELD });
  far.set(uint(2 ** 32 - 1, 8), 4);
  await assert.rejects(opener.open(far), { code: FAULT.FORGED });
  await assert.rejects(opener.open(far.slice(0, 27)), { code: FAULT.FORGED });
  assert.equal(await open(69), 69);
});

test("a Start that is not to be trusted", async () => {
  const [alice, bob] = await Promise.all(
    ["alice", "bob"].map(async (name) =>
      Identity.of(await publicKey(`client/testdata/keys/${name}.pem`), secret(`client/testdata/keys/${name}.pem`)),
    ),
  );
  const [asAlice, asBob] = await Promise.all([Peer.of(alice.key), Peer.of(bob.key)]);
  const { body } = await makeStart(alice, asBob);
  const start = await readStart(body, bob, asAlice);
  await assert.rejects(readStart(body, alice, asBob), /other users/);
  await assert.rejects(readStart(body.slice(0, 400), bob, asAlice), /too short/);
  await assert.rejects(readStart(body.slice(0, -1), bob, asAlice), /signature/);
  await assert.rejects(readStart(body.with(0, 2), bob, asAlice), /version/);
  await assert.rejects(readStart(body.with(490, body[490] ^ 1), bob, asAlice), /signature/);
  for (const share of [0, 1]) {
    await assert.rejects(makeAccept(bob, asAlice, { ...start, share: uint(share, 384) }), /share/);
  }
  await assert.rejects(makeAccept(bob, asAlice, { ...start, share: new Uint8Array(384).fill(255) }), /share/);
  await assert.rejects(Peer.of(alice.key.slice(1)), /not the public key/);
  await assert.rejects(Peer.of(await hash(alice.key)), /not the public key/);
});
