// The clock by which silence is judged. It stands still while the browser has the page asleep: a laptop that was shut for
// an hour has heard nothing, and that is nobody's fault.

const PERIOD = 200; // ms; browsers make it a second or more for a page that nobody sees
const LONGEST = 2000;

export class Clock {
  awake = 0; // ms
  #last = performance.now();
  #timer;

  /** every calls back in every period, until stop. */
  every(tick) {
    this.#timer = setInterval(() => {
      const now = performance.now();
      this.awake += Math.min(now - this.#last, LONGEST);
      this.#last = now;
      tick();
    }, PERIOD);
  }

  stop() {
    clearInterval(this.#timer);
  }

  /** now is for pauses, which may end while the page sleeps. */
  get now() {
    return performance.now();
  }
}
