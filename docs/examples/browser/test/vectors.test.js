// The vectors of this repository, computed once more. Run with: node --test

import assert from "node:assert/strict";
import test from "node:test";
import { hex, unbase64, unhex } from "../bytes.js";
import { decode, encode } from "../contents.js";
import { elements, frame, Refused, Splitter, splitKey, TYPE } from "../frames.js";
import { share } from "../group.js";
import { makeAccept, open, readAccept, readStart, seal } from "../handshake.js";
import { Identity, Peer } from "../keys.js";
import { checkRelay, loginText } from "../proof.js";
import { Opener, Sealer } from "../records.js";
import { safetyNumber } from "../safety.js";
import { bytes, frameVectors, secret, steps } from "./vectors.js";

const is = (got, want) => assert.equal(hex(got), want);

for (const file of ["handshake.txt", "handshake-4096.txt"]) {
  test(file, async () => {
    const [users, start, accept] = steps(file);
    const identity = (who) => Identity.of(unhex(users[`${who} key`]), secret(`client/testdata/keys/${users[who]}.pem`));
    const [initiator, responder] = await Promise.all([identity("initiator"), identity("responder")]);
    const [asPeer, accepter] = await Promise.all([Peer.of(initiator.key), Peer.of(responder.key)]);
    is(initiator.fingerprint, users["initiator fingerprint"]);
    is(share(unhex(start.exponent)), start.share);

    const body = await open(responder, unhex(start.sealed));
    is(body, start.body);
    const read = await readStart(body, responder, asPeer);
    assert.equal(read.time, Number(start.time));
    is(read.hash, accept["hash of the start"]);

    const answer = await open(initiator, unhex(accept.sealed));
    is(answer, accept.body);
    const own = { body, hash: read.hash, exponent: unhex(start.exponent) };
    const { keys } = await readAccept(answer, initiator, accepter, [own]);
    is(keys.initiator.key, accept["initiator key"]);
    is(keys.initiator.iv, accept["initiator iv"]);
    is(keys.responder.key, accept["responder key"]);
    is(keys.responder.iv, accept["responder iv"]);
    is(keys.confirm, accept["responder confirm"]);

    const ours = await makeAccept(responder, asPeer, read, unhex(accept.exponent));
    const again = await open(initiator, await seal(asPeer, ours.body));
    assert.deepEqual((await readAccept(again, initiator, accepter, [own])).keys, ours.keys);
    for (const at of [0, 1, 2, 400, 430, 470, 500, again.length - 1]) {
      const changed = again.with(at, again[at] ^ 1);
      await assert.rejects(readAccept(changed, initiator, accepter, [own]), `byte ${at}`);
    }
  });
}

test("records.txt", async () => {
  const all = steps("records.txt");
  const keys = all.find((step) => step.step === "keys");
  const renewed = all.find((step) => step.step === "new keys");
  const direction = (from, sender) => ({ key: unhex(from[`${sender} key`]), iv: unhex(from[`${sender} iv`]) });
  const parties = (sender) => {
    const both = ["initiator", "responder"].map((who) => unhex(keys[`${who} fingerprint`]));
    return new Uint8Array((sender === "initiator" ? both : both.reverse()).flatMap((one) => [...one]));
  };
  for (const sender of ["initiator", "responder"]) {
    const sealer = new Sealer(direction(keys, sender), parties(sender));
    const opener = new Opener(direction(keys, sender), parties(sender));
    let epoch = 0;
    for (const step of all.filter((one) => one.sender === sender)) {
      while (sealer.counter < Number(step.counter) && Number(step.epoch) === epoch) await sealer.seal(new Uint8Array());
      if (Number(step.epoch) !== epoch) {
        while (sealer.counter < Number(step.epoch)) await sealer.seal(new Uint8Array());
        epoch = Number(step.epoch);
        sealer.renew(direction(renewed, sender));
        opener.expect(direction(renewed, sender));
        while (sealer.counter < Number(step.counter)) await sealer.seal(new Uint8Array());
      }
      const record = await sealer.seal(unhex(step.plaintext));
      is(record, step.record);
      await assert.rejects(opener.open(record.with(record.length - 1, record.at(-1) ^ 1)), { code: 1 });
      is(await opener.open(record), step.plaintext);
      await assert.rejects(opener.open(record), { code: 2 });
    }
  }
});

test("contents.txt", () => {
  for (const step of steps("contents.txt")) {
    if (step.step.startsWith("refused:")) {
      assert.throws(() => decode(unhex(step.content)), { code: 6 }, step.step);
      continue;
    }
    const size = Number(step["body length"]);
    const body = step["body rule"] ? Uint8Array.from({ length: size }, (_, i) => i % 251) : unhex(step.body);
    const content = { kind: Number(step.kind), body };
    for (const name of ["next", "received", "taken", "number"]) content[name] = Number(step[name]);
    const made = encode(content);
    assert.equal(made.length, Number(step["content length"]), step.step);
    is(made.slice(0, 35), step["content header"]);
    if (step.content) is(made, step.content);
    assert.deepEqual(decode(made), content, step.step);
  }
});

test("safety.txt", async () => {
  for (const step of steps("safety.txt")) {
    const number = await safetyNumber(unhex(step["one fingerprint"]), unhex(step["other fingerprint"]));
    assert.equal(number, step["safety number"]);
  }
});

test("frames, cut into single bytes, are put together again", () => {
  const sendable = frameVectors().filter((vector) => vector.from === "relay" && vector.valid === "yes");
  assert.ok(sendable.length > 30);
  for (const vector of sendable) {
    const splitter = new Splitter();
    const [whole, ...more] = [...vector.bytes].flatMap((byte) => splitter.push(Uint8Array.of(byte)));
    assert.equal(more.length, 0, vector.name);
    assert.equal(whole.type, Number(vector.type), vector.name);
    is(frame(whole.type, whole.payload), hex(vector.bytes));
    if (whole.type === TYPE.ERROR) assert.equal(new Refused(whole.payload).code, parseInt(vector.name.slice(6), 10));
    if ([TYPE.START, TYPE.ACCEPT, TYPE.MESSAGE, TYPE.END_SESSION].includes(whole.type)) splitKey(whole.payload);
  }
});

test("what a relay may not send is refused", () => {
  const refused = frameVectors().filter((vector) => vector.from === "relay" && vector.type === "0x10" && vector.valid !== "yes");
  assert.ok(refused.length > 2);
  for (const vector of refused) assert.throws(() => elements(vector.bytes.slice(5)), vector.name);
  for (const vector of frameVectors().filter((one) => /^refused-(no-key|key-)/.test(one.name))) {
    assert.throws(() => splitKey(vector.bytes.slice(5)), vector.name);
  }
});

test("the relay's proofs", async () => {
  const overTLS = "no-relay-proof-over-tls.txt"; // one without a binding, which is right where there is none
  const proofs = frameVectors().filter(({ name }) => name.includes("relay-proof") && name !== overTLS);
  const ours = proofs.filter((vector) => vector["binding type"] === "0" && vector.proves === "yes");
  assert.equal(ours.length, 1);
  for (const vector of proofs) {
    const check = checkRelay(unbase64(vector["address id"]), bytes(vector.hello), vector.bytes.slice(5));
    if (ours.includes(vector)) await check;
    else await assert.rejects(check, /another relay|cannot prove/, vector.name);
  }
});

test("the proof of a login", async () => {
  const vector = frameVectors().find((one) => one.name === "login-proof.txt");
  const { key, rest } = splitKey(vector.bytes.slice(5));
  const text = await loginText(bytes(vector.hello), bytes(vector.welcome), key);
  is(text, vector.text.slice(4));
  const dave = await Identity.of(key, secret("frames/testdata/keys/dave-private-for-tests-only.pem"));
  const peer = await Peer.of(key);
  assert.ok(await peer.verifies(text, rest));
  assert.ok(await peer.verifies(text, await dave.sign(text)));
  assert.ok(!(await peer.verifies(text, rest.with(7, rest[7] ^ 1))));
});
