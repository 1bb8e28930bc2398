// Paints: all that takes time or memory happens here, off the page's thread. A page sends commands and gets news;
// see `hear` and `say`. The commands of a run are carried out between two of its iterations.

import "./files.js";
import init, { Device, Opened, declared, looks } from "./impasto_tab.js";

const { network } = self.impasto;
/// Files of more pixels are scaled by the browser, which needs less memory for that.
const MOST_PIXELS = 24e6;
/// The longest side to which it scales them.
const SCALED_SIDE = 4096;
/// The longest side of a preview.
const PREVIEW_SIDE = 640;
/// Milliseconds between two pictures on the way. Each ends a submission, and many short ones would keep a
/// fast device waiting.
const PICTURE_PAUSE = 200;

const say = (kind, news = {}, handed = []) => postMessage({ kind, ...news }, handed);

const SLOW = "Ready. This browser gives the page only the processor to paint with, which is slow: keep to the book's look and a small size.";
const UNFORESEEN =
  "the painter ended unexpectedly, perhaps because the tab has no memory left: reload the page, and try a smaller size";

/// What the page shows of whatever was thrown: the library's sentences are texts, all else is a defect or a
/// lack of memory.
const sentence = (thrown) => {
  if (typeof thrown === "string") return thrown;
  console.error(thrown);
  return UNFORESEEN;
};

const pictures = {};
let device;
/// Those of the network's file.
let bytes;
let studio;
let run;

async function read(name, bytes) {
  const [width, height] = declared(name, bytes);
  if (width * height <= MOST_PIXELS) return Opened.read(name, bytes);
  let bitmap;
  try {
    const scaled = { resizeWidth: Math.round((SCALED_SIDE * width) / Math.max(width, height)), resizeQuality: "high" };
    bitmap = await createImageBitmap(new Blob([bytes]), scaled);
  } catch {
    // Of a kind that the browser does not know.
    return Opened.read(name, bytes);
  }
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  const pixels = context.getImageData(0, 0, canvas.width, canvas.height).data;
  return Opened.scaled(name, bytes, canvas.width, new Uint8Array(pixels.buffer));
}

function handOver(kind, pixels, news = {}) {
  const { width, height } = pixels;
  const bytes = pixels.take();
  pixels.free();
  say(kind, { ...news, width, height, bytes }, [bytes.buffer]);
}

/// Reads one of the two pictures.
async function look({ which, name, bytes }) {
  try {
    const opened = await read(name, bytes);
    pictures[which]?.free();
    pictures[which] = opened;
    const about = { which, name, wide: opened.width(), high: opened.height(), notes: JSON.parse(opened.notes()) };
    handOver("opened", opened.small(PREVIEW_SIDE), about);
  } catch (thrown) {
    say("refused", { which, name, text: sentence(thrown) });
  }
}

/// The network's file. The first time it comes from the server, with news of how much of it is there, and is
/// kept.
async function theNetwork() {
  const failed = (why) => `the network's file could not be loaded (${why}); check the connection and reload the page`;
  // A browser that keeps nothing, as in some private windows, loads it again each time.
  const cache = await caches.open(network.cache).catch(() => null);
  const kept = await cache?.match(network.file);
  if (kept) return new Uint8Array(await kept.arrayBuffer());
  const parts = [];
  let loaded = 0;
  try {
    const answer = await fetch(network.file);
    if (!answer.ok) throw new Error(`the server said ${answer.status}`);
    const reader = answer.body.getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      parts.push(value);
      loaded += value.length;
      say("loading", { loaded, total: network.bytes });
    }
  } catch (thrown) {
    throw failed(thrown.message);
  }
  if (loaded !== network.bytes) throw failed(`${loaded} of ${network.bytes} bytes came`);
  const file = new Blob(parts);
  await cache?.put(network.file, new Response(file)).catch((thrown) => console.warn(`not kept: ${thrown.message}`));
  return new Uint8Array(await file.arrayBuffer());
}

/// The device first: without one, 13 MB need not be fetched.
async function open() {
  if (!self.isSecureContext) {
    throw "a browser paints only in pages that come by https or from this machine itself; open this page by https";
  }
  const opened = await Device.open();
  const about = JSON.parse(opened.about());
  say("device", about);
  const file = await theNetwork();
  [device, bytes] = [opened, file];
  say("able", { text: about.software ? SLOW : `Ready. It paints on ${about.name || "your graphics card"}, in this tab.` });
}

/// The network on the device, with the forms of its convolutions that are wanted, or those that suit the
/// device.
function withForm(form) {
  if (!studio || studio.form !== form) studio = { form, on: device.load(bytes, form) };
  return studio.on;
}

/// What a run would need, or why there can be none.
function ask({ request }) {
  if (!bytes || !pictures.content) return;
  try {
    say("needs", { bytes: withForm(studio?.form).needs(JSON.stringify(request), pictures.content) });
  } catch (thrown) {
    say("needs", { text: sentence(thrown) });
  }
}

/// Carries out what the page has sent since the last iteration.
async function obey(run) {
  for (;;) {
    for (const command of run.commands.splice(0)) {
      await orders[command.kind](run, command);
    }
    if (!run.paused || run.finished) return;
    say("paused", progress(run));
    await new Promise((resolve) => (run.wake = resolve));
  }
}

const progress = ({ painter }) => ({ progress: JSON.parse(painter.progress()) });

const orders = {
  turn(run, { turn }) {
    try {
      run.painter.turn(JSON.stringify(turn));
      say("turned", turned(run));
    } catch (thrown) {
      say("unturned", { text: sentence(thrown) });
    }
  },
  pause(run) {
    run.paused = true;
  },
  resume(run) {
    run.paused = false;
    say("resumed");
  },
  end_size(run) {
    run.painter.end_size();
    run.paused = false;
    say("turned", turned(run));
  },
  finish(run) {
    run.painter.finish();
    run.finished = true;
    say("turned", turned(run));
  },
  async copy(run) {
    await file(run, "saved");
  },
};

const turned = ({ painter }) => ({ settings: JSON.parse(painter.settings()), changes: JSON.parse(painter.changes()) });

async function file({ painter, file }, kind, news = {}) {
  const bytes = await painter.png();
  const { iteration } = JSON.parse(painter.progress());
  const name = kind === "saved" ? file.replace(".png", `-${iteration}.png`) : file;
  say(kind, { ...news, file: name, bytes }, [bytes.buffer]);
}

async function paint({ request, file: name, form }) {
  run = { commands: [], paused: false, finished: false, wake: null, file: name };
  try {
    run.painter = await withForm(form).begin(JSON.stringify(request), pictures.content, pictures.style);
    await iterate(run, run.painter);
  } catch (thrown) {
    say("failed", { text: sentence(thrown) });
  } finally {
    run = undefined;
  }
}

async function iterate(run, painter) {
  say("begun", { settings: JSON.parse(painter.settings()), ...progress(run) });
  painter.copy_every(1);
  let since = { at: performance.now(), iterations: 0 };
  for (;;) {
    await obey(run);
    const losses = await painter.step();
    if (losses === undefined) break;
    say("losses", { losses: JSON.parse(losses), at: performance.now(), ...progress(run) });
    since.iterations += 1;
    const pixels = painter.copy();
    if (pixels) handOver("picture", pixels);
    const passed = performance.now() - since.at;
    if (passed >= PICTURE_PAUSE) {
      painter.copy_every(Math.max(1, Math.round((PICTURE_PAUSE * since.iterations) / passed)));
      since = { at: performance.now(), iterations: 0 };
    }
  }
  handOver("picture", await painter.picture());
  await file(run, "done", progress(run));
  painter.free();
}

const hear = { look, ask, paint };

// In their order: a picture is read before it is painted. What fails says so.
let last = init().then(
  async () => {
    say("ready", { looks: JSON.parse(looks()) });
    await open().catch((thrown) => say("nodevice", { text: sentence(thrown) }));
  },
  (thrown) => say("failed", { text: `the painter could not be loaded (${thrown.message}); reload the page` }),
);
onmessage = ({ data }) => {
  if (data.kind in orders) {
    run?.commands.push(data);
    run?.wake?.();
  } else if (data.kind in hear) {
    last = last.then(() => hear[data.kind](data));
  }
};
