// Keeps the page, so that it opens and paints without a connection after the first visit. The network's file,
// which is large and seldom changes, has a cache of its own, which the painter fills.

importScripts("files.js");

const { build, files, network } = self.impasto;
const page = `impasto page ${build}`;
const kept = [page, network.cache];

self.addEventListener("install", (event) => {
  const fill = async () => {
    const cache = await caches.open(page);
    // From the server, not from what the browser has kept of an earlier build.
    await cache.addAll(files.map((file) => new Request(file, { cache: "reload" })));
    await self.skipWaiting();
  };
  event.waitUntil(fill());
});

self.addEventListener("activate", (event) => {
  const clean = async () => {
    const names = await caches.keys();
    const old = names.filter((name) => name.startsWith("impasto ") && !kept.includes(name));
    await Promise.all(old.map((name) => caches.delete(name)));
    await self.clients.claim();
  };
  event.waitUntil(clean());
});

self.addEventListener("fetch", (event) => {
  const inside = event.request.url.startsWith(self.registration.scope);
  if (event.request.method !== "GET" || !inside) return;
  const answer = async () => {
    const cache = await caches.open(page);
    return (await cache.match(event.request, { ignoreSearch: true })) ?? fetch(event.request);
  };
  event.respondWith(answer());
});
