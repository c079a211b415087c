// What the relay has counted, for the last three minutes. It counts from its beginning on, so what happened of late is a difference.

// KEPT is how many seconds are remembered, and drawn. LATELY is what a rate is the average of, so that it can be read.
export const KEPT = 180;
const LATELY = 5;
const MINUTE = 60;

// GAP is after how many seconds without an answer a curve is broken off.
const GAP = 4;

export class History {
  #samples = []; // { at: seconds by the relay's clock, status }, the oldest first

  get last() {
    return this.#samples.at(-1)?.status;
  }

  get at() {
    return this.#samples.at(-1)?.at;
  }

  // add takes a status. If the relay has begun anew, or its clock was set back, what was before is forgotten.
  add(status) {
    const at = Date.parse(status.now) / 1000;
    const last = this.#samples.at(-1);
    if (last && (at <= last.at || status.started !== last.status.started || status.accepted < last.status.accepted)) this.#samples = [];
    this.#samples.push({ at, status });
    while (this.#samples[0].at < at - KEPT) this.#samples.shift();
  }

  // rate is how many of something there were a second, of late.
  rate(of) {
    const from = this.#from(LATELY);
    return from && (of(this.last) - of(from.status)) / (this.at - from.at);
  }

  // gained is how many of something there were in the last minute.
  gained(of) {
    const from = this.#from(MINUTE);
    return from && of(this.last) - of(from.status);
  }

  // settledWithin is, in milliseconds, how long this part of the frames of the last minute took at most. It is as precise as the
  // relay's counts: Infinity is longer than the longest of them. Undefined if there were no frames.
  settledWithin(part) {
    const counts = this.last.frames.settle.map((settle, i) => [settle.ms || Infinity, this.gained((s) => s.frames.settle[i].frames)]);
    const all = counts.reduce((sum, [, frames]) => sum + (frames ?? 0), 0);
    let sum = 0;
    return all > 0 ? counts.find(([, frames]) => (sum += frames) >= part * all)[0] : undefined;
  }

  // levels are the points of a curve: [seconds before now, what there was then]; rates the same, of what there was a second.
  // A point whose value is undefined is a gap.
  levels(of) {
    return this.#points((sample) => of(sample.status));
  }

  rates(of) {
    return this.#points((sample, before) => before && (of(sample.status) - of(before.status)) / (sample.at - before.at));
  }

  #points(value) {
    return this.#samples.map((sample, i) => {
      const before = this.#samples[i - 1];
      const isGap = i > 0 && sample.at - before.at > GAP;
      return [this.at - sample.at, isGap ? undefined : value(sample, before)];
    });
  }

  // #from returns the youngest sample that is so old, or the oldest there is; none if that is the last one.
  #from(age) {
    const list = this.#samples.slice(0, -1);
    return list.findLast((sample) => sample.at <= this.at - age) ?? list[0];
  }
}
