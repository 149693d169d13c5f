/** What the page keeps on disk, in IndexedDB: its link, its messages, who is who. A promise resolves at the commit. */

const DATABASE = 'sandbox';
/** One more with each kind of object store. */
const VERSION = 3;
const STORES = ['device', 'messages', 'people', 'chats', 'votes', 'labels'];

let opening;

function database() {
  opening ??= new Promise((resolve, reject) => {
    const request = indexedDB.open(DATABASE, VERSION);
    request.onupgradeneeded = () => {
      const known = request.result.objectStoreNames;
      for (const name of STORES) if (!known.contains(name)) request.result.createObjectStore(name);
    };
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
  return opening;
}

async function transaction(store, mode, work) {
  const open = await database();
  return await new Promise((resolve, reject) => {
    const running = open.transaction(store, mode);
    const request = work(running.objectStore(store));
    running.oncomplete = () => resolve(request?.result);
    running.onabort = () => reject(running.error);
  });
}

export const read = (store, key) => transaction(store, 'readonly', (objects) => objects.get(key));
export const readAll = (store) => transaction(store, 'readonly', (objects) => objects.getAll());
export const write = (store, key, value) => transaction(store, 'readwrite', (objects) => objects.put(value, key));
export const erase = (store, key) => transaction(store, 'readwrite', (objects) => objects.delete(key));

export async function forget() {
  (await database()).close();
  await new Promise((resolve) => {
    const request = indexedDB.deleteDatabase(DATABASE);
    request.onsuccess = request.onerror = request.onblocked = () => resolve();
  });
}
