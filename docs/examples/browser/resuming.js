// Finding out what was lost with a connection, by three steps (docs/session.md, Resuming): who was interrupted says 1, the
// other answers with 2, and that is answered with 3.

const INTERRUPTED = 1;
const ASKING = 2;
const TELLING = 3;

export class Resuming {
  #question; // { step, counter, at }: what we ask, and once it was said, in which record, and when
  #tell = false; // whether step 3 is to be said

  /** unsure is whether we do not know what has come of what we sent. Then nothing else is said. */
  get unsure() {
    return this.#question !== undefined;
  }

  /** due is the step that is to be said now; undefined if there is none. */
  get due() {
    if (this.unsure && this.#question.counter === undefined) return this.#question.step;
    return this.#tell ? TELLING : undefined;
  }

  /** interrupted says that our connection broke. */
  interrupted() {
    this.#ask(INTERRUPTED);
  }

  #ask(step) {
    this.#question = { step };
    this.#tell = false;
  }

  /** said notes in which record the step that is due goes out. */
  said(counter, at) {
    if (this.due === TELLING) this.#tell = false;
    else Object.assign(this.#question, { counter, at });
  }

  /** answers returns the counter of our question if this step answers it; `next` is what the peer reports with it. */
  answers(step, next) {
    return step !== INTERRUPTED && next > this.#question?.counter ? this.#question.counter : undefined;
  }

  /** heard takes a step of the peer's; `answered` is whether it has answered our question. It returns whether we are unsure anew. */
  heard(step, answered) {
    if (answered) this.#question = undefined;
    if (step === INTERRUPTED) this.#ask(ASKING); // what we have asked before may be lost as well
    if (step === ASKING && this.due === undefined) this.#tell = true; // else what we ask tells as much
    return step === INTERRUPTED;
  }

  /** refused has a step said again. */
  refused(counter) {
    if (!this.unsure) this.#tell = true;
    else if (this.#question.counter === counter) this.again();
  }

  /** again has our question asked again. */
  again() {
    if (this.unsure) this.#question = { step: this.#question.step };
  }

  /** unansweredFor is how long ago our question was asked. */
  unansweredFor(awake) {
    return awake - (this.#question?.at ?? Infinity);
  }
}
