// How the relay is asked.

const PATIENCE = 5000; // milliseconds

// Locked says that the relay wants its token, or another one; Refused, that it answers with an error; Silent, that it does not answer.
export class Locked extends Error {}
export class Refused extends Error {}
export class Silent extends Error {}

// unlock has the token sent along from now on, by this tab, until it is closed.
export function unlock(token) {
  sessionStorage.setItem("token", token);
}

// ask returns what the relay answers.
export async function ask(path) {
  const token = sessionStorage.getItem("token");
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  let answer, what;
  try {
    answer = await fetch(path, { headers, cache: "no-store", signal: AbortSignal.timeout(PATIENCE) });
    what = await answer.json();
  } catch (error) {
    throw new Silent(error.name === "TimeoutError" ? "it takes too long to answer" : "it does not answer");
  }
  if (answer.status === 401) throw new Locked(token ? "This is not the relay’s token." : "");
  if (!answer.ok) throw new Refused(what.error);
  return what;
}

// repeat does something every so many milliseconds while the page is seen, and at once when it is seen again; never twice at once.
// It returns what does it now.
export function repeat(every, what) {
  let timer;
  let isBusy = false;
  const round = async () => {
    if (document.hidden || isBusy) return;
    clearTimeout(timer);
    isBusy = true;
    const began = performance.now();
    try {
      await what();
    } finally {
      isBusy = false;
      timer = setTimeout(round, Math.max(every - (performance.now() - began), every / 5));
    }
  };
  document.addEventListener("visibilitychange", round);
  round();
  return round;
}
