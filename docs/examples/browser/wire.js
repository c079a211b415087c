// Wire is a connection to a relay: a WebSocket, whose binary messages are taken for one stream of bytes.

import { frame, Splitter, TYPE } from "./frames.js";

const LOST = new Error("The connection to the relay is lost.");
const CLOSE_WITHIN = 2000; // ms
const CONNECT_WITHIN = 10000; // ms

export class Wire {
  sent = 0; // frames; an Error names one by its number
  pieces = 0; // of the stream, that have come
  #socket;
  #splitter = new Splitter();
  #frames = [];
  #end; // why there will be no more frames
  #wake = () => {};

  /** open connects. It rejects if that fails; why, a browser tells nobody. */
  static async open(url) {
    const socket = new WebSocket(url);
    socket.binaryType = "arraybuffer";
    const limit = setTimeout(() => socket.close(), CONNECT_WITHIN);
    try {
      await new Promise((resolve, reject) => {
        socket.onopen = resolve;
        socket.onclose = () => reject(new Error("cannot connect"));
      });
    } finally {
      clearTimeout(limit);
    }
    return new Wire(socket);
  }

  constructor(socket) {
    this.#socket = socket;
    socket.onmessage = ({ data }) => this.#take(data);
    socket.onclose = () => this.#finish(LOST);
  }

  /** send sends a frame, and returns its number. */
  send(type, payload) {
    this.#socket.send(frame(type, payload)); // what is sent after the end goes nowhere, without an error
    return ++this.sent;
  }

  /** next returns the next frame. It rejects when there will be none. */
  async next() {
    while (this.#frames.length === 0) {
      if (this.#end) throw this.#end;
      await new Promise((resolve) => (this.#wake = resolve));
    }
    return this.#frames.shift();
  }

  /** busy is whether more frames wait to be read. */
  get busy() {
    return this.#frames.length > 0;
  }

  /** close says that we send nothing more. What was sent before still goes out, and what comes is still read. */
  close() {
    this.#socket.close();
    setTimeout(() => this.#finish(LOST), CLOSE_WITHIN);
  }

  #take(data) {
    this.pieces++;
    try {
      for (const one of this.#splitter.push(new Uint8Array(data))) {
        if (one.type === TYPE.PING) this.send(TYPE.PONG, one.payload);
        else if (one.type !== TYPE.PONG) this.#frames.push(one);
      }
    } catch (error) {
      this.#finish(error);
      this.close();
    }
    this.#wake();
  }

  #finish(error) {
    this.#end ??= error;
    this.#wake();
  }
}
