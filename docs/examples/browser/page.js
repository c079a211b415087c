// The page: what is shown, typed and pressed. The first half of it is the first page, transcript.js the second.

import { hex } from "./bytes.js";
import { Chat } from "./chat.js";
import { fromPEM, Identity, toPEM } from "./keys.js";
import { keep, keepFirst, recall } from "./storage.js";
import { Transcript } from "./transcript.js";

const $ = (id) => document.getElementById(id);

const TYPED = ["name", "friend", "relay"];

let identity;

async function begin() {
  if (!globalThis.crypto?.subtle) {
    return problem("A browser does cryptography only for pages that come by https, or from this very computer (localhost).");
  }
  const kept = await recall("identity");
  if (kept) identity = new Identity(kept);
  Object.entries((await recall("typed")) ?? {}).forEach(([id, value]) => ($(id).value = value));
  showKey();
}

function showKey() {
  $("keyless").hidden = identity !== undefined;
  $("keyed").hidden = $("befriended").hidden = identity === undefined;
  if (!identity) return;
  $("fingerprint").textContent = hex(identity.fingerprint);
  $("key").value = toPEM(identity.key);
}

async function makeKey() {
  $("make").disabled = true;
  $("make").textContent = "Making a key …";
  try {
    await keepFirst("identity", { ...(await Identity.generate()) });
  } catch (error) {
    if (error.name !== "ConstraintError") throw error; // else another tab was faster
  }
  identity = new Identity(await recall("identity"));
  showKey();
  $("copy").focus();
}

async function copyKey() {
  $("key").select();
  await navigator.clipboard.writeText($("key").value);
  $("copy").textContent = "Copied";
}

async function start(event) {
  event.preventDefault();
  problem();
  $("go").disabled = true;
  const typed = Object.fromEntries(TYPED.map((id) => [id, $(id).value.trim()]));
  try {
    const transcript = new Transcript(typed.name);
    const tell = (what) => transcript.tell(what);
    const chat = await Chat.open({ address: typed.relay, identity, friend: fromPEM(typed.friend), tell });
    await keep("typed", typed);
    transcript.show(chat);
    await chat.run().catch((error) => transcript.fail(error));
    await transcript.read();
  } catch (error) {
    problem(error.message);
  }
  showSetup();
}

function showSetup() {
  $("go").disabled = false;
  $("chat").hidden = true;
  $("setup").hidden = false;
  $("title").focus();
}

function problem(text = "") {
  $("problem").hidden = text === "";
  $("problem").textContent = text;
}

$("make").addEventListener("click", makeKey);
$("copy").addEventListener("click", copyKey);
$("start").addEventListener("submit", start);
begin();
