// The page: where pictures are chosen, where they are painted, and the worker between them.

import { notices } from "./components.js";
import { painter } from "./painter.js";
import { running } from "./run.js";
import { setup } from "./setup.js";

const at = (id) => document.getElementById(id);
const TITLE = at("name").textContent;

const notes = notices();
at("notices").append(notes.element);
const capital = (text) => `${text[0].toUpperCase()}${text.slice(1)}.`;

let state = "choosing";
let lock;

function show(next) {
  state = next;
  at("setup").hidden = next !== "choosing";
  at("run").hidden = next === "choosing";
  if (next === "choosing") {
    at("name").textContent = TITLE;
    document.title = `impasto: ${TITLE.toLowerCase()}`;
  }
  scrollTo({ top: 0 });
}

const megabytes = (bytes) => (bytes / 1e6).toFixed(1);

const board = setup({
  take: (which, file) => worker.look(which, file),
  ask: () => worker.send({ kind: "ask", request: board.request() }),
  paint,
});
const run = running({
  send: (command) => worker.send(command),
  leave() {
    notes.clear();
    show("choosing");
  },
});
const worker = painter({
  ready({ looks }) {
    board.begin(looks);
  },
  device({ name, software }) {
    board.ready(software ? "This browser paints on the processor, which is slow, so a small size is chosen." : `Painting on ${name || "the graphics card"}.`);
    if (software) board.slow();
  },
  nodevice({ text }) {
    notes.say(capital(text), "error");
    board.ready("This browser cannot paint.");
    board.able(false);
  },
  loading({ loaded, total }) {
    board.ready(`Downloading the network (only once): ${megabytes(loaded)} of ${megabytes(total)} MB.`, loaded / total);
  },
  able({ text }) {
    board.ready(text);
    board.able(true);
    worker.send({ kind: "ask", request: board.request() });
  },
  opened(news) {
    board.show(news);
    worker.send({ kind: "ask", request: board.request() });
  },
  refused: (news) => board.refuse(news),
  needs: (news) => board.needs(news),
  ...run.news,
  done(news) {
    run.news.done(news);
    release();
  },
  failed({ text }) {
    notes.say(capital(text), "error");
    if (state === "painting") run.failed();
    release();
    // A device that failed once is not used again.
    board.able(false);
    if (state === "painting") worker.restart();
  },
});

async function paint() {
  notes.clear();
  const stem = (which) => worker.name(which).replace(/\.[^.]*$/, "");
  const named = (which) => board.title(which, worker.name(which));
  const title = `${named("content")}, painted like ${named("style")}`;
  at("name").textContent = `${title[0].toUpperCase()}${title.slice(1)}`;
  show("painting");
  run.open({ title, preview: board.preview(), shape: board.shape(), settings: board.settings() });
  worker.send({ kind: "paint", request: board.request(), file: `${stem("content")}-${stem("style")}.png` });
  try {
    lock = await navigator.wakeLock?.request("screen");
  } catch {
    // The screen may go dark; the painting goes on.
  }
}

function release() {
  lock?.release();
  lock = undefined;
}

addEventListener("beforeunload", (event) => {
  if (state === "painting" && run.busy()) event.preventDefault();
});

if ("serviceWorker" in navigator) {
  navigator.serviceWorker.register("sw.js").catch((thrown) => console.warn(`without a connection the page will not open: ${thrown.message}`));
}
