// The Diffie-Hellman group ffdhe3072 (RFC 7919, A.2). WebCrypto does not have it, so the arithmetic is BigInt's.
//
// That is not constant time: how long a power takes depends a little on the exponent. The exponent is used for one
// handshake only, so there is not much to learn; but somebody who can measure this page finely enough learns something.

import { big, random, unhex } from "./bytes.js";

const P = BigInt(
  "0x" +
    "ffffffffffffffffadf85458a2bb4a9aafdc5620273d3cf1d8b9c583ce2d3695a9e13641146433fbcc939dce249b3ef9" +
    "7d2fe363630c75d8f681b202aec4617ad3df1ed5d5fd65612433f51f5f066ed0856365553ded1af3b557135e7f57c935" +
    "984f0c70e0e68b77e2a689daf3efe8721df158a136ade73530acca4f483a797abc0ab182b324fb61d108a94bb2c8e3fb" +
    "b96adab760d7f4681d4f42a3de394df4ae56ede76372bb190b07a7c8ee0a6d709e02fce1cdf7e2ecc03404cd28342f61" +
    "9172fe9ce98583ff8e4f1232eef28183c3fe3b1b4c6fad733bb5fcbc2ec22005c58ef1837d1683b2c6f34a26c1b2effa" +
    "886b4238611fcfdcde355b3b6519035bbc34f4def99c023861b46fc9d6e6c9077ad91d2691f7f7ee598cb0fac186d91c" +
    "aefe130985139270b4130c93bc437944f4fd4452e2d74dd364f2e21e71f54bff5cae82ab9c9df69ee86d2bc522363a0d" +
    "abc521979b0deada1dbf9a42d5c4484e0abcd06bfa53ddef3c1b20ee3fd59d7c25e41d2b66c62e37ffffffffffffffff",
);
const G = 2n;
const SIZE = 384; // bytes of P
const EXPONENT = 40; // bytes

function power(base, exponent) {
  let result = 1n;
  for (const bit of exponent.toString(2)) {
    result = (result * result) % P;
    if (bit === "1") result = (result * base) % P;
  }
  return result;
}

const padded = (value) => unhex(value.toString(16).padStart(2 * SIZE, "0"));

/** newExponent returns a secret, for one handshake. */
export const newExponent = () => random(EXPONENT);

/** share is what the other side gets of it. */
export const share = (exponent) => padded(power(G, big(exponent)));

/** isShare reports whether a peer's share is one that may be used: at least 2, and at most p - 2. */
export const isShare = (bytes) => big(bytes) >= 2n && big(bytes) <= P - 2n;

/** shared is Z, what both sides get out of their own exponent and the other's share. */
export const shared = (peerShare, exponent) => padded(power(big(peerShare), big(exponent)));
