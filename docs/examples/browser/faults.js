// What can be wrong in a session. Each has the code that an Abort says (docs/session.md, Giving up).

export const FAULT = {
  FORGED: 1, REPLAYED: 2, REORDERED: 3, WITHHELD: 4, CONTRADICTION: 5, MALFORMED: 6, SILENCE: 7, USED_UP: 8, GAVE_UP: 9,
};

const SENTENCES = {
  1: "A message was forged or changed on its way.",
  2: "A message was sent a second time by the relay, or by somebody on the way.",
  3: "Messages came in another order than they were sent in.",
  4: "Messages were kept back by the relay, or by somebody on the way.",
  5: "The relay said that it refused a message, and delivered it all the same.",
  6: "A message could not be understood.",
  7: "No answer came for half a minute: the friend is gone, or the relay keeps back what is said.",
  8: "The session has been used for too long, and a new one is needed.",
  9: "The session was given up.",
};

const TAMPERING = [FAULT.FORGED, FAULT.REPLAYED, FAULT.REORDERED, FAULT.WITHHELD, FAULT.CONTRADICTION];

/** sentence says what a code means, whoever noticed it. */
export const sentence = (code) => SENTENCES[code] ?? "Something else was wrong.";

/** isTampering reports whether no honest relay does this. */
export const isTampering = (code) => TAMPERING.includes(code);

/** Fault is something wrong that ends the session. */
export class Fault extends Error {
  constructor(code) {
    super(sentence(code));
    this.code = code;
  }
}
