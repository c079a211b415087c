// Reads the vectors of this repository: client/testdata/README.md and frames/testdata/vectors/README.md say what they are.

import { createPublicKey } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { unbase64, unhex } from "../bytes.js";

const root = new URL("../../../../", import.meta.url);

const text = (path) => readFileSync(new URL(path, root), "utf8");

/** steps returns the steps of a file of client/testdata: objects with the values under their names. */
export const steps = (name) =>
  text(`client/testdata/${name}`)
    .split("\n\n")
    .map((step) => Object.fromEntries([...step.matchAll(/^([^#\s][^:\n]*):((?:.*)(?:\n  .*)*)/gm)].map(pair)));

const pair = ([, name, value]) => [name, name === "step" ? value.trim() : value.replace(/\n {2}/g, "").trim()];

/** secret returns the private key in a PEM file, PKCS #8. */
export const secret = (path) => unbase64(text(path).replace(/-----.*-----|\s/g, ""));

/** publicKey returns the public half of one. */
export const publicKey = (path) => new Uint8Array(createPublicKey(text(path)).export({ type: "spki", format: "der" }));

/** frameVectors returns those of frames/testdata, with their header lines and their bytes. */
export const frameVectors = () =>
  readdirSync(new URL("frames/testdata/vectors/", root))
    .filter((name) => name.endsWith(".txt"))
    .map((name) => {
      const [head, body] = text(`frames/testdata/vectors/${name}`).split("\n\n");
      const lines = Object.fromEntries(head.split("\n").map((line) => line.split(/: (.*)/s).slice(0, 2)));
      return { name, ...lines, bytes: unhex(body.replace(/\s/g, "")) };
    });

/** bytes reads `hex …`. */
export const bytes = (value) => unhex(value.replace(/^hex ?/, ""));
