// The page of `impasto stylize --live`: the components, joined to the server that the program runs.
//
// What the server tells comes by server-sent events, and only while the page is visible:
//   start    { number, title, width, height, names, layers, weights }   a picture begins; what was known is void
//   state    what components.js calls a state, with weights, changes, queue and current
//   losses   { rows }
//   picture  { version, width, height }
// What the user does goes to `steer` as JSON: { set: {..weights..} } or { act: "pause" }.

import { changeList, comparison, controls, lossCurves, make, notices, progressLine, queue } from "./components.js";

const card = (...children) => make("section", { class: "card" }, ...children);
// On a narrow page, losses and lists come after the controls.
const titled = (title, element) => make("section", { class: "card late" }, make("h2", {}, title), element);

const view = comparison();
const progress = progressLine();
const curves = lossCurves();
const changes = changeList();
const pictures = queue();
const notes = notices();
const panel = controls({
  onChange: (set) => steer({ set }),
  onAction: (act) => steer({ act }),
});
const waiting = card(pictures.element);
waiting.classList.add("late");
waiting.hidden = true;

document.getElementById("notices").append(notes.element);
document.getElementById("left").append(card(view.element), titled("Losses", curves.element));
document.getElementById("right").append(
  card(progress.element), card(panel.element), titled("What was changed", changes.element), waiting);

let picture = null, ended = false;

async function steer(command) {
  try {
    const answer = await fetch("steer", {
      method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(command),
    });
    const text = await answer.text();
    panel.say(answer.ok ? text : "");
    if (answer.ok) notes.clear();
    else notes.say(text, "error");
  } catch {
    notes.say("The program does not answer; it may have ended. Look at its terminal.", "error");
  }
}

/** The newest picture, one at a time: what a slow line has no time for is left out. */
let loading = null, newest = 0;
function fetchPicture() {
  loading ??= fetchNewest().finally(() => { loading = null; });
  return loading;
}

async function fetchNewest() {
  try {
    for (let got = -1; got !== newest;) {
      got = newest;
      const answer = await fetch(`picture?version=${got}`);
      if (!answer.ok) break;
      const old = picture;
      picture = URL.createObjectURL(await answer.blob());
      view.setAfter(picture);
      if (old) setTimeout(() => URL.revokeObjectURL(old), 1000);
    }
  } catch {
    // The next one is fetched, or the lost connection is told of.
  }
}

const handlers = {
  start(told) {
    document.getElementById("name").textContent = told.title;
    document.title = `${told.title} · impasto`;
    curves.start(told.names);
    panel.start(told.weights, told.layers);
    view.setSize(told.width, told.height);
    view.setBefore(`before?picture=${told.number}`);
  },
  state(told) {
    progress.update(told);
    panel.setStatus(told.status);
    panel.set(told.weights);
    changes.set(told.changes);
    waiting.hidden = told.queue.length < 2;
    pictures.set(told.queue, told.current);
    if (told.status === "failed") notes.say(told.result, "error");
    if (told.over && !ended) farewell();
    const percent = told.iterations ? Math.floor(100 * told.iteration / told.iterations) : 0;
    document.title = `${told.over ? "✓" : `${percent} %`} ${document.getElementById("name").textContent} · impasto`;
  },
  losses(told) {
    curves.push(told.rows);
  },
  picture(told) {
    newest = told.version;
    fetchPicture();
  },
};

let stream = null, lost = 0;

/** The run is over: the last picture is fetched, and the program may end. */
async function farewell() {
  ended = true;
  await fetchPicture();
  stream?.close();
}

function connect() {
  stream?.close();
  stream = new EventSource("events");
  for (const [name, handle] of Object.entries(handlers)) {
    stream.addEventListener(name, (event) => handle(JSON.parse(event.data)));
  }
  stream.onopen = () => {
    if (lost) notes.clear();
    lost = 0;
  };
  stream.onerror = () => {
    if (ended) {
      stream.close();
    } else if (++lost > 1) {
      notes.say("The connection is lost. The page tries again; if the program has ended, its terminal says how.", "error");
      panel.setStatus("stopped");
    }
  };
}

// Nobody looks at a hidden page, and the program need not make pictures for it.
document.addEventListener("visibilitychange", () => {
  if (ended) return;
  if (document.hidden) stream?.close();
  else connect();
});
connect();
