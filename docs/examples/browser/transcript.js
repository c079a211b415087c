// Transcript is a chat as it is shown. What anybody else has written is shown as text (textContent), never as HTML.

import { CODE } from "./frames.js";
import { FAULT } from "./faults.js";

const $ = (id) => document.getElementById(id);

const TALKING = "Encrypted from end to end";

export class Transcript {
  #chat;
  #name; // the friend's
  #waiting = []; // our messages that the friend's program has not taken: { message, state }
  #strangers = new Set();
  #away = false; // whether the relay says that the friend is not connected
  #worked = false; // whether we were ever logged in
  #told; // the notice that was shown last, so that none is repeated
  #listeners = new AbortController();
  #back;

  constructor(name) {
    this.#name = name;
  }

  /** show shows a chat in place of the first page. */
  show(chat) {
    this.#chat = chat;
    $("setup").hidden = true;
    $("chat").hidden = false;
    $("who").textContent = this.#name;
    $("log").replaceChildren();
    $("composer").hidden = false;
    $("safety").open = false;
    $("number").textContent = "…";
    chat.safetyNumber().then((number) => ($("number").textContent = number));
    $("end").textContent = "End";
    this.#status("Connecting …");
    this.#enable(false);
    const { signal } = this.#listeners;
    $("composer").addEventListener("submit", (event) => this.#say(event), { signal });
    $("text").addEventListener("keydown", (event) => this.#key(event), { signal });
    $("end").addEventListener("click", () => this.#end(), { signal });
    $("end").focus();
  }

  /** read waits until the user has read enough of a chat that is over. */
  async read() {
    this.#unconfirmed();
    this.#status("The chat is over");
    $("composer").hidden = true;
    $("end").textContent = "Back";
    $("end").focus();
    await new Promise((resolve) => (this.#back = resolve));
    this.#listeners.abort();
  }

  /** fail shows why a chat cannot go on. If it never worked, the first page has to. */
  fail(error) {
    if (!this.#worked) {
      this.#listeners.abort();
      throw error;
    }
    this.#alarm(error.message);
  }

  /** tell takes what happens in the chat. */
  tell(what) {
    switch (what.type) {
      case "online":
        return this.#online(what);
      case "offline":
        return this.#offline(what);
      case "asking":
        return this.#asking(what);
      case "refused":
        return this.#refused(what);
      case "open":
        return this.#open(what);
      case "presence":
        return this.#presence(what);
      case "text":
        return this.#text(what);
      case "taken":
        return this.#taken(what);
      case "farewell":
        return this.#farewell(what);
      case "over":
        return this.#over(what);
      case "stranger":
        return this.#stranger(what);
      case "trouble":
        return this.#trouble(what);
    }
  }

  // What happens.

  #online() {
    this.#worked = true;
    this.#status($("text").disabled ? "Connected" : TALKING);
  }

  #offline({ text }) {
    this.#notice(`${text} Connecting again …`);
    this.#status("Not connected");
  }

  #asking() {
    this.#status(`Asking ${this.#name} …`);
  }

  #refused({ code, text }) {
    const away = code === CODE.UNAVAILABLE || code === CODE.OFFLINE;
    this.#notice(away ? `${this.#name} is away. Asking again every 10 seconds.` : `${text} Asking again every 10 seconds.`);
    this.#status(`Waiting for ${this.#name}`);
  }

  #open() {
    this.#away = false;
    this.#notice(`${this.#name} is here.`);
    this.#status(TALKING);
    this.#enable(true);
    $("text").focus();
  }

  #presence({ online }) {
    if (online === !this.#away) return;
    this.#away = !online;
    this.#notice(`${this.#name} is ${online ? "connected again" : "not connected; what you write waits"}.`);
  }

  #text({ text }) {
    this.#message("theirs", this.#name, text);
  }

  #taken({ number }) {
    for (const { message, state } of this.#waiting) {
      if (message.number <= number) state.textContent = "✓";
    }
    this.#waiting = this.#waiting.filter(({ message }) => !(message.number <= number));
  }

  #farewell({ reason }) {
    this.#notice(`${this.#name} has ended the chat${reason ? `: ${reason}` : "."}`);
    this.#chat.leave();
  }

  #over({ done, fault, refused, left, replaced, byPeer, tampering }) {
    this.#enable(false);
    this.#unconfirmed();
    if (done) return this.#notice("Both of you have said everything.");
    if (replaced) return this.#notice(`${this.#name} has begun anew.`);
    if (refused) return this.#notice(`The session has not lasted: ${refused.message}`);
    if (left !== undefined) return this.#notice(`${this.#name} has left, says the relay${left ? `: ${left}` : "."}`);
    this.#faulty(fault, byPeer, tampering);
  }

  #stranger({ fingerprint }) {
    if (this.#strangers.has(fingerprint)) return;
    this.#strangers.add(fingerprint);
    this.#notice(`Somebody else asks for a session, and is ignored: ${fingerprint}`);
  }

  #trouble({ text }) {
    this.#alarm(text);
  }

  #unconfirmed() {
    const many = this.#waiting.length;
    if (many > 0) this.#notice(`${many === 1 ? "A message has" : `${many} messages have`} not been confirmed, and may be lost.`);
    this.#waiting = [];
  }

  #faulty(fault, byPeer, tampering) {
    const text = byPeer ? `${this.#name}’s program has ended the session. It says: ${fault.message}` : fault.message;
    if (!tampering && fault.code !== FAULT.GAVE_UP) return this.#notice(text);
    this.#alarm(tampering ? `${text} The chat was stopped: somebody tampers with it.` : text);
    this.#chat.leave();
  }

  // What the user does.

  async #say(event) {
    event.preventDefault();
    const text = $("text").value;
    if (text.trim() === "" || $("text").disabled) return;
    $("text").value = "";
    $("text").focus();
    const state = this.#message("mine", "You", text);
    const message = await this.#chat.say(text);
    if (message) this.#waiting.push({ message, state });
    else state.textContent = "not sent";
  }

  // key has the Enter key send, and Shift and Enter begin a new line.
  #key(event) {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    $("composer").requestSubmit();
  }

  #end() {
    if (this.#back) return this.#back();
    this.#enable(false);
    this.#status("Ending the chat …");
    this.#chat.leave();
  }

  // What is shown.

  #enable(open) {
    $("text").disabled = !open;
    $("send").disabled = !open;
  }

  #status(text) {
    $("status").textContent = text;
  }

  // message shows a text, and returns where its state belongs.
  #message(whose, who, text) {
    const state = element("span", "state", whose === "mine" ? "…" : "");
    state.ariaHidden = "true"; // who listens hears the message once
    const body = element("span", "", text);
    body.dir = "auto";
    const shown = element("p", `message ${whose}`, element("span", "unseen", `${who}: `), body);
    if (whose === "mine") shown.append(state);
    $("log").append(shown);
    if (whose === "mine") shown.scrollIntoView({ block: "end" });
    this.#told = undefined;
    return state;
  }

  #notice(text) {
    if (text !== this.#told) $("log").append(element("p", "notice", text));
    this.#told = text;
  }

  #alarm(text) {
    const shown = element("p", "problem", text);
    shown.role = "alert";
    $("log").append(shown);
  }
}

function element(tag, className, ...content) {
  const made = document.createElement(tag);
  made.className = className;
  made.append(...content); // text becomes text
  return made;
}
