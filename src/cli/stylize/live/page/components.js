// The parts of a page that shows a run and steers it. They do not know where the run is: a server, a worker.
//
// Each function makes one part and returns an object. Its `element` goes into the page, its methods show
// something, and the callbacks that the function was given hear of the user. Nothing here loads, stores or sends
// anything. The look is in `impasto.css`.
//
//   comparison()                      setBefore(url), setAfter(url or canvas), setSize(width, height)
//   progressLine()                    update(state)
//   lossCurves()                      start(names), push(rows)
//   controls({ onChange, onAction })  start(weights, layers), set(weights), setStatus(status, can), say(text)
//   changeList()                      set(changes)
//   queue()                           set(pictures, current)
//   notices()                         say(text, kind), clear()
//
// Plain data, as the record of a run has it:
//
//   weights  { strength, content_weight, style_weight, tv_weight, learning_rate, style_layer_weights: [..] }
//            A strength of null is one that no slider could have set.
//   layers   ["relu1_1", ..], the style layers in the order of their weights, from fine to large.
//   state    { status, name, width, height, iteration, iterations, stage, stages, seconds_left, result }
//            status: "preparing", "painting", "paused", "finishing", "done", "stopped" or "failed".
//            stages: [{ width, height, first, iterations, finish }, ..]; stage: which of them runs.
//            seconds_left may be null. result says what became of the picture, once that is known.
//   rows     [[iteration, value, ..], ..], the values in the order of `names`.
//   changes  [{ iteration, text }, ..]
//   pictures [{ name, state, note }, ..], state: "waiting", "painting", "done", "skipped" or "failed".
//
// onChange(change) gets an object with the weights that changed and no others. onAction(name) gets "pause",
// "resume", "end_size", "finish" or "copy".

import { duration, make } from "./elements.js";

export { controls } from "./controls.js";
export { lossCurves } from "./curves.js";
export { make };

// ----------------------------------------------------------------------------------------------------
// Before and after

/** The picture as it is painted, and the photograph behind a line that can be moved. */
export function comparison() {
  const before = make("img", { class: "before", alt: "the photograph", hidden: true, draggable: "false" });
  const empty = make("p", { class: "empty" }, "The picture comes with the first iterations.");
  const after = make("div", { class: "after" }, empty);
  const slider = make("input", {
    type: "range", min: 0, max: 100, step: 0.5, value: 0, "aria-label": "How much of the photograph is shown",
    oninput: () => cut(),
  });
  const edge = make("div", { class: "edge", "aria-hidden": "true" });
  const handle = make("div", { class: "handle", "aria-hidden": "true" });
  const frame = make("div", { class: "frame" }, after, before, edge, handle, slider);
  const element = make("figure", { class: "comparison" }, frame,
    make("figcaption", {}, "Drag the line, or use the arrow keys: left of it is the photograph."));
  edge.hidden = handle.hidden = true;
  const cut = () => frame.style.setProperty("--cut", `${slider.value}%`);
  cut();
  let shown = null;
  return {
    element,
    setBefore(url) {
      before.src = url;
      [before, edge, handle].forEach((part) => { part.hidden = false; });
    },
    /** A picture's address, or an element such as a canvas, which stays the caller's to draw on. */
    setAfter(what) {
      if (typeof what !== "string") {
        if (shown !== what) after.replaceChildren(what);
        shown = what;
        return;
      }
      if (!(shown instanceof HTMLImageElement)) {
        shown = make("img", { alt: "the picture as it is painted", draggable: "false" });
        after.replaceChildren(shown);
      }
      shown.src = what;
    },
    setSize(width, height) {
      frame.style.setProperty("--ratio", `${width} / ${height}`);
      frame.style.setProperty("--shape", width / height);
    },
  };
}

// ----------------------------------------------------------------------------------------------------
// Progress

const STATUS = {
  preparing: "Preparing", painting: "Painting", paused: "Paused", finishing: "Saving", done: "Finished", stopped: "Stopped",
  failed: "Failed",
};

/** What the run does: its status, its sizes as a row of segments, iteration and time left. */
export function progressLine() {
  const badge = make("span", { class: "badge" });
  const where = make("span", { class: "where" });
  const left = make("span", { class: "left" });
  const bar = make("div", {
    class: "stages", role: "progressbar", "aria-label": "Iterations", "aria-valuemin": 0,
  });
  const details = make("p", { class: "details" });
  // Screen readers hear of a new size or status, not of every iteration.
  const spoken = make("p", { class: "spoken", role: "status" });
  const element = make("section", { class: "progress", "aria-label": "Progress" },
    make("p", { class: "line" }, badge, where, left), bar, details, spoken);
  let built = "", said = "";
  const segments = (stages) => {
    const key = JSON.stringify(stages);
    if (key === built) return;
    built = key;
    bar.replaceChildren(...stages.map((stage) => {
      const size = `${stage.width} × ${stage.height}${stage.finish ? ", finish" : ""}`;
      const segment = make("span", { class: stage.finish ? "stage finish" : "stage", title: size }, make("i"));
      // Later sizes take longer for each iteration; their segments are as wide as their work.
      segment.style.flexGrow = Math.max(1e-3, stage.iterations * stage.width * stage.height);
      return segment;
    }));
  };
  return {
    element,
    update(state) {
      const { status, stages = [], stage = 0, iteration = 0, iterations = 0, width, height } = state;
      element.dataset.status = status;
      badge.textContent = STATUS[status] ?? status;
      const at = stages[stage];
      where.textContent = width ? `${width} × ${height}` : "";
      const rest = status === "painting" ? duration(state.seconds_left) : "";
      left.textContent = rest && `${rest} left`;
      segments(stages);
      stages.forEach((one, index) => {
        const part = one.iterations ? (iteration - one.first) / one.iterations : 1;
        bar.children[index].firstChild.style.width = `${100 * Math.min(1, Math.max(0, part))}%`;
        bar.children[index].classList.toggle("now", index === stage && status !== "done");
      });
      bar.setAttribute("aria-valuemax", iterations);
      bar.setAttribute("aria-valuenow", iteration);
      const sizes = stages.filter((one) => !one.finish).length || stages.length;
      const number = stages.slice(0, stage + 1).filter((one) => !one.finish).length || 1;
      const finish = at?.finish ? ", making strokes crisp" : "";
      const size = sizes > 1 ? ` · size ${number} of ${sizes}${finish}` : finish;
      details.textContent = state.result ?? (iterations ? `Iteration ${iteration} of ${iterations}${size}` : "");
      const news = `${STATUS[status]}${at ? `, ${at.width} by ${at.height} pixels${finish}` : ""}`;
      if (news !== said) spoken.textContent = said = news;
    },
  };
}

// ----------------------------------------------------------------------------------------------------
// What was changed, what waits, what is to be said

/** What was changed and when, the latest first. */
export function changeList() {
  const list = make("ol", { reversed: true });
  const none = make("p", { class: "hint" }, "Nothing has been changed. Changes are stored in the picture's record.");
  const element = make("div", { class: "changes" }, none, list);
  let shown = "";
  return {
    element,
    set(changes) {
      const key = JSON.stringify(changes);
      if (key === shown) return;
      shown = key;
      none.hidden = changes.length > 0;
      list.replaceChildren(...[...changes].reverse().map(({ iteration, text }) =>
        make("li", {}, make("b", {}, `from iteration ${iteration}`), ` ${text}`)));
    },
  };
}

/** The pictures of a run, and which is being painted. */
export function queue() {
  const list = make("ol");
  const count = make("p", { class: "hint" });
  const element = make("section", { class: "queue", "aria-label": "Pictures", hidden: true }, make("h2", {}, "Pictures"), count, list);
  let shown = "";
  return {
    element,
    set(pictures, current) {
      const key = JSON.stringify([pictures, current]);
      if (key === shown) return;
      shown = key;
      element.hidden = pictures.length < 2;
      const done = pictures.filter((one) => one.state === "done").length;
      count.textContent = `${done} of ${pictures.length} painted`;
      list.replaceChildren(...pictures.map(({ name, state, note }, index) =>
        make("li", { "data-state": state, "aria-current": index === current ? "true" : false },
          make("span", { class: "name" }, name), make("span", { class: "state" }, note ?? state))));
      // Only the list, and not the page, is scrolled.
      const at = list.children[current];
      if (at) list.scrollTop = at.offsetTop - list.offsetTop - list.clientHeight / 2;
    },
  };
}

/** Sentences that people must see, such as errors. kind: "note" or "error". */
export function notices() {
  const element = make("div", { class: "notices", role: "alert" });
  return {
    element,
    say(text, kind = "note") {
      element.replaceChildren(make("p", { class: kind }, text));
    },
    clear() {
      element.replaceChildren();
    },
  };
}
