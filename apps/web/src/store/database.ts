/** The page's own storage in this browser. A browser that forbids it (as private windows may) gets a page that forgets, not one that fails. */

const name = 'conveyance';
const version = 1;

export type StoreName = 'listings' | 'details' | 'commands' | 'meta';

let opened: Promise<IDBDatabase> | null = null;

function open(): Promise<IDBDatabase> {
  opened ??= new Promise<IDBDatabase>((resolve, reject) => {
    const request = indexedDB.open(name, version);
    request.onupgradeneeded = () => {
      const database = request.result;
      database.createObjectStore('listings', { keyPath: 'key' }).createIndex('seenAt', 'seenAt');
      database.createObjectStore('details', { keyPath: 'key' }).createIndex('seenAt', 'seenAt');
      database.createObjectStore('commands', { keyPath: 'id' });
      database.createObjectStore('meta', { keyPath: 'name' });
    };
    request.onsuccess = () => {
      // A newer page in another tab wants to change the storage: this one steps aside.
      request.result.onversionchange = () => {
        request.result.close();
        opened = null;
      };
      resolve(request.result);
    };
    request.onerror = () => reject(request.error ?? new Error('The storage of this browser cannot be opened.'));
    request.onblocked = () => reject(new Error('Another tab holds the storage: close it and try again.'));
  });
  return opened;
}

export const result = <T>(request: IDBRequest<T>): Promise<T> =>
  new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error ?? new Error('The storage of this browser failed.'));
  });

/** Runs one transaction, and answers once it is kept. */
export async function within<T>(stores: StoreName | StoreName[], mode: IDBTransactionMode, work: (store: (name: StoreName) => IDBObjectStore) => Promise<T>): Promise<T> {
  const transaction = (await open()).transaction(stores, mode, { durability: mode === 'readwrite' ? 'strict' : 'default' });
  const kept = new Promise<void>((resolve, reject) => {
    transaction.oncomplete = () => resolve();
    transaction.onabort = transaction.onerror = () => reject(transaction.error ?? new Error('The storage of this browser failed.'));
  });
  const [given] = await Promise.all([work((store) => transaction.objectStore(store)), kept]);
  return given;
}

/** Deletes the oldest of a store beyond a number. */
export async function prune(store: IDBObjectStore, max: number): Promise<void> {
  let over = (await result(store.count())) - max;
  if (over <= 0) return;
  await new Promise<void>((resolve, reject) => {
    const cursor = store.index('seenAt').openCursor();
    cursor.onerror = () => reject(cursor.error ?? new Error('The storage of this browser failed.'));
    cursor.onsuccess = () => {
      const at = cursor.result;
      if (at === null || over <= 0) return resolve();
      over -= 1;
      at.delete();
      at.continue();
    };
  });
}
