// @ts-nocheck: it runs in a scope of its own, whose types do not go together with those of the page.
// Keeps the page itself, so that it opens without a network. Listings are kept by the page (`src/store`), never here: this knows files only.

/** Files of this build, and a name that changes with them. */
const files = __FILES__;
const version = __VERSION__;

const shell = '/';
const current = `conveyance-${version}`;

/** How long the network may take to answer before the page that is kept is opened instead. */
const patienceMs = 2500;

addEventListener('install', (event) => {
  event.waitUntil(
    caches
      .open(current)
      // Not from the browser's own cache: what is kept must be of one build.
      .then((cache) => cache.addAll(files.map((file) => new Request(file, { cache: file === shell ? 'reload' : 'default' }))))
      .then(() => skipWaiting()),
  );
});

// A page of the build before may still be open and load its parts late: the files of one earlier build stay.
addEventListener('activate', (event) => {
  event.waitUntil(
    caches
      .keys()
      .then((names) => names.filter((name) => name.startsWith('conveyance-') && name !== current))
      .then((old) => Promise.all(old.slice(0, -1).map((name) => caches.delete(name))))
      .then(() => clients.claim()),
  );
});

addEventListener('fetch', (event) => {
  const { request } = event;
  const url = new URL(request.url);
  if (request.method !== 'GET' || url.origin !== location.origin) return;
  if (request.mode === 'navigate' && (url.pathname === '/' || url.pathname === '/flow' || url.pathname.startsWith('/listing/'))) event.respondWith(page(request));
  else if (url.pathname.startsWith('/assets/') || url.pathname === '/favicon.svg') event.respondWith(file(request));
});

async function page(request) {
  const kept = await caches.open(current).then((cache) => cache.match(shell));
  if (kept === undefined) return fetch(request);
  const late = new Promise((resolve) => setTimeout(resolve, patienceMs, kept));
  const fresh = fetch(request).then((response) => (response.ok ? response : kept));
  return Promise.race([fresh, late]).catch(() => kept);
}

/** Names of files change with what is in them, so what is kept is right. */
async function file(request) {
  const kept = await caches.match(request);
  if (kept !== undefined) return kept;
  const response = await fetch(request);
  if (response.ok) {
    const cache = await caches.open(current);
    await cache.put(request, response.clone());
  }
  return response;
}
