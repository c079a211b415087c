// What happens, happens one after the other. WebCrypto answers later, and order is what the protocol is about: a record
// that is sealed first has to be sent first, and one that comes first has to be opened first.

export class Mailbox {
  #last = Promise.resolve();

  /** put runs a job when all those before it are done. The promise is the job's. */
  put(job) {
    const run = this.#last.then(job);
    this.#last = run.catch(() => {}); // whoever has put it in hears of it
    return run;
  }
}
