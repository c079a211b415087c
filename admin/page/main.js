// The page: it asks the relay how it is, and shows that; or says why it cannot.

import { showCounts } from "./counts.js";
import { $, write } from "./dom.js";
import { showFigures } from "./figures.js";
import { clock, NONE, span } from "./format.js";
import { History } from "./history.js";
import { showRecent } from "./recent.js";
import { ask, Locked, Refused, repeat, unlock } from "./relay.js";
import { showTree, showNoTree } from "./tree.js";

const SECOND = 1000; // milliseconds

const history = new History();

let isLocked = false; // until somebody gives the token
let answers = false; // the relay does; else nothing but its status is asked for
let silentSince;

async function status() {
  if (isLocked) return;
  try {
    history.add(await ask("api/status"));
  } catch (error) {
    if (error instanceof Locked) lock(error.message);
    else miss(error.message);
    return;
  }
  showAbout(history.last);
  showFigures(history);
  showCounts(history);
  if (answers) return;
  answers = true;
  $("unlock").hidden = true;
  $("about").hidden = false;
  $("relay").hidden = false;
  document.body.classList.remove("stale");
  askForTree();
  askForRecent();
}

async function tree() {
  if (!answers) return;
  try {
    showTree(await ask(`api/tree?children=${$("children").value}`), history.at);
  } catch (error) {
    if (error instanceof Refused) showNoTree(error.message); // all else the status says
  }
}

let ended; // how many connections and crashes there had been
let isNew = 0; // for so many rounds there may be something that was not asked for; what was counted comes a moment later

async function recent() {
  if (!answers) return;
  const { closed, crashes } = history.last;
  const now = (closed ?? []).reduce((n, entry) => n + entry.count, 0) + Object.values(crashes).reduce((a, b) => a + b, 0);
  if (now !== ended) isNew = 2;
  if (isNew === 0) return;
  try {
    showRecent(await ask("api/recent"));
    ended = now;
    isNew--;
  } catch {
    // The status says it, and it is asked again.
  }
}

function showAbout({ version, started, now, listen, relay, stopping }) {
  write($("version"), version);
  write($("uptime"), span(Date.parse(started) > 0 ? (Date.parse(now) - Date.parse(started)) / 1000 : undefined));
  write($("listen"), (listen ?? []).join(", ") || NONE);
  write($("id"), relay || NONE);
  $("copy").hidden = !relay;
  if (stopping) showState("stopping", "Stopping. It takes no more connections, and settles what it took.");
  else showState("ready", "Ready.");
}

function showState(state, text) {
  $("state").className = state;
  write($("state"), text);
  document.title = `${state}: blubbel-server`;
}

// miss says that the relay cannot be reached. What was seen of it stays.
function miss(why) {
  if (answers || silentSince === undefined) silentSince = clock(Date.now());
  answers = false;
  document.body.classList.add("stale");
  showState("unreachable", `Not reachable since ${silentSince}: ${why}. Asking again${history.last ? "; what you see is older" : ""}.`);
}

function lock(why) {
  isLocked = true;
  answers = false;
  $("relay").hidden = true;
  $("unlock").hidden = false;
  write($("wrong"), why);
  showState("locked", "Locked.");
  $("token").select();
}

$("unlock").addEventListener("submit", (event) => {
  event.preventDefault();
  write($("wrong"), "");
  unlock($("token").value.trim());
  isLocked = false;
  askForStatus();
});

$("copy").addEventListener("click", async () => {
  getSelection().selectAllChildren($("id"));
  try {
    await navigator.clipboard.writeText($("id").textContent);
    write($("copy"), "Copied");
  } catch {
    write($("copy"), "Ctrl-C"); // browsers let pages copy on this machine, or by https; what is selected can be copied always
  }
  setTimeout(() => write($("copy"), "Copy"), 2 * SECOND);
});

$("children").addEventListener("change", () => askForTree());

const askForStatus = repeat(SECOND, status);
const askForTree = repeat(2 * SECOND, tree);
const askForRecent = repeat(2 * SECOND, recent);
