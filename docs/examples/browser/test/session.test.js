// Two users in this process, with a relay in between that does what a test wants. Run with: node --test

import assert from "node:assert/strict";
import test from "node:test";
import { CODE, TYPE } from "../frames.js";
import { Identity, Peer } from "../keys.js";
import { Meeting } from "../meeting.js";
import { publicKey, secret } from "./vectors.js";

const identity = async (name) =>
  Identity.of(await publicKey(`client/testdata/keys/${name}.pem`), secret(`client/testdata/keys/${name}.pem`));

const [alice, bob] = await Promise.all([identity("alice"), identity("bob")]);

/** Pair is two users and their relay. */
class Pair {
  awake = 0;
  deal = () => "deliver"; // what becomes of a frame: "deliver", "drop", a code to refuse it with, or other bytes
  #way = []; // frames that are under way

  constructor(options) {
    this.alice = this.user(alice, "bob", options);
    this.bob = this.user(bob, "alice", options);
  }

  user(own, other, options) {
    const pair = this;
    const clock = { get awake() { return pair.awake; }, get now() { return pair.awake; } };
    const user = { told: [], texts: [], clock };
    user.make = async () => {
      const tell = (what) => {
        user.told.push(what);
        if (what.type === "text") user.texts.push(what.text);
      };
      const post = (type, payload, about) => this.#way.push({ from: user, to: () => this[other], type, payload, about });
      const peer = await Peer.of(own === alice ? bob.key : alice.key);
      user.meeting = new Meeting({ identity: own, peer, clock, post, tell, ...options });
      return user;
    };
    return user;
  }

  async open() {
    await this.alice.make();
    await this.bob.make();
    this.bob.meeting.wanted = false; // so that Alice is who asks
    this.alice.meeting.connected();
    this.bob.meeting.connected();
    await this.run();
    assert.ok(this.alice.meeting.live?.opened && this.bob.meeting.live?.opened);
  }

  /** run lets time go by, and brings frames, until nothing happens any more. */
  async run(ms = 0) {
    for (const end = this.awake + ms; ; this.awake = Math.min(this.awake + 100, end)) {
      for (const user of [this.alice, this.bob]) await user.meeting.tick();
      do {
        for (const frame of this.#way.splice(0)) await this.#bring(frame);
        for (const user of [this.alice, this.bob]) await user.meeting.pump(false);
      } while (this.#way.length > 0);
      if (this.awake >= end) return;
    }
  }

  async #bring(frame) {
    const { from, to, type, payload, about } = frame;
    const deal = this.deal(frame);
    if (typeof deal === "number") await from.meeting.refused(about, { code: deal, message: `code ${deal}` });
    else if (deal === "deliver") await to().meeting.take({ type, rest: payload });
    else if (deal !== "drop") await to().meeting.take({ type, rest: deal });
  }

  over(user) {
    return user.told.filter((what) => what.type === "over");
  }
}

const say = (user, ...texts) => texts.forEach((text) => user.meeting.live.say(text));

const messages = (deal) => (frame) => (frame.type === TYPE.MESSAGE ? deal(frame) : "deliver");

test("texts arrive in order, both ways, and are confirmed", async () => {
  const pair = new Pair();
  await pair.open();
  const many = Array.from({ length: 100 }, (_, i) => `${i} äöü 👋`);
  say(pair.alice, ...many);
  say(pair.bob, "Hello Alice");
  await pair.run(1000);
  assert.deepEqual(pair.bob.texts, many);
  assert.deepEqual(pair.alice.texts, ["Hello Alice"]);
  assert.equal(pair.alice.meeting.live.outbox.unconfirmed, 0);
});

test("both ask at once, and it is one session", async () => {
  const pair = new Pair();
  await pair.alice.make();
  await pair.bob.make();
  pair.alice.meeting.connected();
  pair.bob.meeting.connected();
  await pair.run(1000);
  say(pair.alice, "one");
  say(pair.bob, "two");
  await pair.run(1000);
  assert.deepEqual([pair.bob.texts, pair.alice.texts], [["one"], ["two"]]);
  assert.notEqual(pair.alice.meeting.live.initiator, pair.bob.meeting.live.initiator);
});

test("what is refused because the friend does not keep up is sent again, in order", async () => {
  const pair = new Pair();
  await pair.open();
  let frames = 0;
  pair.deal = messages(() => (++frames % 3 === 0 ? "deliver" : CODE.BUSY));
  const many = Array.from({ length: 20 }, (_, i) => `${i}`);
  say(pair.alice, ...many);
  await pair.run(60000);
  pair.deal = () => "deliver";
  await pair.run(10000);
  assert.deepEqual(pair.bob.texts, many);
  assert.deepEqual(pair.over(pair.alice), []);
});

test("many refusals at once make one pause", async () => {
  const pair = new Pair();
  await pair.open();
  let frames = 0;
  pair.deal = messages(() => (++frames <= 20 ? CODE.BUSY : "deliver"));
  const many = Array.from({ length: 20 }, (_, i) => `${i}`);
  say(pair.alice, ...many);
  await pair.run(1000);
  assert.deepEqual(pair.bob.texts, many);
});

const tampering = {
  "a bit is flipped": { code: 1, deal: ({ payload }) => payload.with(40, payload[40] ^ 1) },
  "a message is kept back": { code: 4, by: "alice", deal: (_, nth) => (nth === 0 ? "drop" : "deliver") },
  "a message is delivered, and refused": { code: 5, by: "alice", both: CODE.BUSY },
};

for (const [what, { code, deal, both, by = "bob" }] of Object.entries(tampering)) {
  test(`${what}: it is noticed, and both are told`, async () => {
    const pair = new Pair();
    await pair.open();
    let nth = 0;
    pair.deal = messages((frame) => {
      if (frame.from !== pair.alice) return "deliver";
      if (!both) return deal(frame, nth++);
      if (nth++ === 0) frame.to().meeting.take({ type: frame.type, rest: frame.payload });
      return nth === 1 ? both : "deliver";
    });
    say(pair.alice, "one", "two");
    await pair.run(5000);
    pair.deal = () => "deliver";
    await pair.run(1000);
    for (const name of ["alice", "bob"]) {
      const [over] = pair.over(pair[name]);
      assert.equal(over.fault.code, code, name);
      assert.equal(over.tampering, true);
      assert.equal(over.byPeer ?? false, name !== by);
    }
  });
}

test("a record is repeated: it is noticed", async () => {
  const pair = new Pair();
  await pair.open();
  say(pair.alice, "one");
  let kept;
  pair.deal = messages((frame) => ((kept ??= frame.payload), "deliver"));
  await pair.run();
  await pair.bob.meeting.take({ type: TYPE.MESSAGE, rest: kept });
  assert.equal(pair.over(pair.bob)[0].fault.code, 2);
});

test("a request that is kept and sent again is refused", async () => {
  const pair = new Pair();
  let kept;
  pair.deal = (frame) => ((kept ??= frame.type === TYPE.START ? frame.payload : undefined), "deliver");
  await pair.open();
  await pair.bob.meeting.take({ type: TYPE.START, rest: kept });
  assert.match(pair.bob.told.at(-1).text, /a second time/);
});

test("nobody answers: that is silence", async () => {
  const pair = new Pair();
  await pair.open();
  pair.deal = (frame) => (frame.from === pair.bob ? "drop" : "deliver");
  say(pair.alice, "one");
  await pair.run(29000);
  assert.deepEqual(pair.over(pair.alice), []);
  await pair.run(2000);
  assert.equal(pair.over(pair.alice)[0].fault.code, 7);
});

test("keys are renewed, again and again, and nothing is lost", async () => {
  const pair = new Pair({ renewEvery: { records: 10, time: Infinity } });
  const epochs = new Set();
  pair.deal = messages(({ payload }) => (epochs.add(payload[3]), "deliver"));
  await pair.open();
  const many = Array.from({ length: 60 }, (_, i) => `${i}`);
  for (const text of many) {
    say(pair.alice, text);
    say(pair.bob, text);
    await pair.run(100);
  }
  assert.deepEqual(pair.bob.texts, many);
  assert.deepEqual(pair.alice.texts, many);
  assert.ok(epochs.size > 8, `${epochs.size} epochs`);
});

for (const lost of ["alice", "bob", "both"]) {
  test(`a connection breaks, and what ${lost} sent last is lost: it is sent again`, async () => {
    const pair = new Pair();
    await pair.open();
    pair.deal = ({ from }) => (lost === "both" || from === pair[lost] ? "drop" : "deliver");
    say(pair.alice, "one", "two");
    say(pair.bob, "three");
    await pair.run(200);
    pair.alice.meeting.broke();
    pair.deal = () => "deliver";
    pair.alice.meeting.connected();
    await pair.run(1000);
    say(pair.alice, "four");
    await pair.run(20000);
    assert.deepEqual(pair.bob.texts, ["one", "two", "four"]);
    assert.deepEqual(pair.alice.texts, ["three"]);
    assert.deepEqual([...pair.over(pair.alice), ...pair.over(pair.bob)], []);
  });
}

test("a friend whose program is started again gets a new session", async () => {
  const pair = new Pair();
  await pair.open();
  await pair.bob.make();
  pair.bob.meeting.connected();
  pair.deal = ({ type, from }) => {
    if (type === TYPE.ACCEPT) say(pair.alice, "to whom?"); // nobody who has accepted says anything in the old session
    return type === TYPE.MESSAGE && from === pair.alice && !pair.alice.told.some(({ replaced }) => replaced) ? assert.fail() : "deliver";
  };
  await pair.run(1000);
  say(pair.alice, "again");
  await pair.run(1000);
  assert.deepEqual(pair.bob.texts, ["again"]);
  assert.equal(pair.over(pair.alice)[0].replaced, true);
});

test("both say their last, and the session is over for both", async () => {
  const pair = new Pair();
  await pair.open();
  say(pair.alice, "one");
  pair.alice.meeting.live.end("that is all");
  await pair.run(1000);
  assert.equal(pair.bob.told.find((what) => what.type === "farewell").reason, "that is all");
  say(pair.bob, "and this");
  pair.bob.meeting.live.end();
  pair.alice.meeting.wanted = pair.bob.meeting.wanted = false;
  await pair.run(1000);
  assert.deepEqual(pair.alice.texts, ["and this"]);
  for (const user of [pair.alice, pair.bob]) assert.equal(pair.over(user)[0].done, true);
});
