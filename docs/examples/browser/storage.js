// What the browser remembers (IndexedDB): our key, whose secret half nobody can read out of it, and what was typed last.

const NAME = "blubbel";
const STORE = "kept";

const done = (request) =>
  new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });

function open() {
  const request = indexedDB.open(NAME, 1);
  request.onupgradeneeded = () => request.result.createObjectStore(STORE);
  return done(request);
}

async function within(mode, use) {
  const database = await open();
  try {
    const transaction = database.transaction(STORE, mode);
    const committed = new Promise((resolve, reject) => {
      transaction.oncomplete = resolve;
      transaction.onabort = () => reject(transaction.error);
    });
    const result = await done(use(transaction.objectStore(STORE)));
    await committed;
    return result;
  } finally {
    database.close();
  }
}

export const recall = (name) => within("readonly", (store) => store.get(name));

export const keep = (name, value) => within("readwrite", (store) => store.put(value, name));

/** keepFirst keeps what nobody has kept before, in another tab either; it fails with a ConstraintError otherwise. */
export const keepFirst = (name, value) => within("readwrite", (store) => store.add(value, name));
