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

/** An element with attributes and children; text becomes text, never markup. */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

const SVG = "http://www.w3.org/2000/svg";

function draw(tag, attributes = {}, text) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (text != null) element.textContent = text;
  return element;
}

let ids = 0;
const fresh = (name) => `${name}-${++ids}`;

/** A number as people write it: three digits that count, no tail of zeros. */
export function number(value) {
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size < 1e-4 || size >= 1e6) return value.toExponential(1).replace("e+", "e");
  return String(Number(value.toPrecision(3)));
}

/** A time in words. */
export function duration(seconds) {
  if (seconds == null || !Number.isFinite(seconds)) return "";
  if (seconds < 60) return `${Math.max(1, Math.round(seconds))} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${String(Math.round(seconds % 60)).padStart(2, "0")} s`;
  return `${Math.floor(seconds / 3600)} h ${String(Math.round((seconds % 3600) / 60)).padStart(2, "0")} min`;
}

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
// Losses

// Colours that people with any kind of colour vision can tell apart, after Okabe and Ito, as in the report.
const COLOURS = ["var(--ink)", "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b58900", "#56b4e9", "#7d5ba6"];
const CHART = { width: 640, height: 260, left: 46, right: 128, top: 10, bottom: 34 };
const DECADES = 6, POINTS = 400, NAME = 15;

/** Curves of losses on a logarithmic scale, as in the report. */
export function lossCurves() {
  const svg = draw("svg", { viewBox: `0 0 ${CHART.width} ${CHART.height}`, role: "img", "aria-label": "Losses by iteration" });
  const words = make("p", { class: "spoken" });
  // Where the page is narrow, the names stand below the curves instead of beside them.
  const legend = make("ul", { class: "legend", "aria-hidden": "true" });
  const element = make("div", { class: "curves" }, svg, legend, words);
  let names = [], rows = [], waiting = false;
  const paint = () => {
    waiting = false;
    svg.replaceChildren();
    const { width, height, left, right, top, bottom } = CHART;
    const values = rows.flatMap((row) => row.slice(1)).filter((v) => v > 0 && Number.isFinite(v));
    if (values.length === 0) {
      svg.append(draw("text", { x: width / 2, y: height / 2, "text-anchor": "middle" }, "no losses yet"));
      return;
    }
    const most = Math.log10(values.reduce((a, b) => Math.max(a, b)));
    const least = Math.log10(values.reduce((a, b) => Math.min(a, b)));
    const high = Math.ceil(most), low = Math.min(high - 1, Math.floor(Math.max(least, most - DECADES)));
    const last = Math.max(1, rows[rows.length - 1][0]);
    const x = (iteration) => left + (width - left - right) * iteration / last;
    const y = (value) => top + (height - top - bottom) * (high - Math.max(low, Math.log10(value))) / (high - low);
    for (let decade = low; decade <= high; decade++) {
      const at = y(10 ** decade);
      svg.append(draw("line", { class: "grid", x1: left, x2: width - right, y1: at, y2: at }),
        draw("text", { x: left - 6, y: at + 4, "text-anchor": "end" }, number(10 ** decade)));
    }
    for (let tick = 0, step = nice(last / 5); tick <= last; tick += step) {
      svg.append(draw("line", { class: "grid", x1: x(tick), x2: x(tick), y1: top, y2: height - bottom }),
        draw("text", { x: x(tick), y: height - bottom + 16, "text-anchor": "middle" }, tick));
    }
    svg.append(draw("text", { x: (left + width - right) / 2, y: height - 3, "text-anchor": "middle" }, "iteration"));
    const ends = [];
    const step = Math.max(1, Math.ceil(rows.length / POINTS));
    names.forEach((name, index) => {
      let path = "";
      rows.forEach((row, k) => {
        const value = row[index + 1];
        if ((k % step && k + 1 !== rows.length) || !(value > 0) || !Number.isFinite(value)) return;
        path += `${path ? "L" : "M"}${x(row[0]).toFixed(1)} ${y(value).toFixed(1)}`;
      });
      const end = rows[rows.length - 1][index + 1];
      if (!path) return;
      const colour = COLOURS[index % COLOURS.length];
      const line = draw("path", { class: "series", d: path });
      line.style.stroke = colour;
      svg.append(line);
      if (end > 0) ends.push({ name, colour, y: y(end) });
    });
    spread(ends, top + 4, height - bottom).forEach((end) => {
      const text = draw("text", { class: "name", x: width - right + 8, y: end.y + 4 }, end.name);
      text.style.fill = end.colour;
      svg.append(text);
    });
    words.textContent = `Loss in all: ${number(rows[rows.length - 1][1])} after ${last + 1} iterations.`;
  };
  const later = () => {
    if (!waiting) setTimeout(() => requestAnimationFrame(paint), 250);
    waiting = true;
  };
  paint();
  return {
    element,
    /** Starts again with curves of these names. The first is the sum of all. */
    start(list) {
      [names, rows] = [list, []];
      legend.replaceChildren(...names.map((name, index) => {
        const item = make("li", {}, name);
        item.style.color = COLOURS[index % COLOURS.length];
        return item;
      }));
      paint();
    },
    push(more) {
      // A connection that begins again sends everything again.
      const next = rows.length ? rows[rows.length - 1][0] + 1 : 0;
      rows.push(...more.filter((row) => row[0] >= next));
      later();
    },
  };
}

/** 1, 2 or 5 times a power of ten, at least `step`. */
function nice(step) {
  const power = 10 ** Math.floor(Math.log10(Math.max(1, step)));
  return [1, 2, 5, 10].map((factor) => factor * power).find((value) => value >= step);
}

/** Names beside the ends of their curves, moved apart where they would cover each other. */
function spread(ends, top, bottom) {
  ends.sort((a, b) => a.y - b.y);
  let free = top;
  for (const end of ends) {
    end.y = Math.max(end.y, free);
    free = end.y + NAME;
  }
  free = bottom;
  for (const end of [...ends].reverse()) {
    end.y = Math.min(end.y, free);
    free = end.y - NAME;
  }
  return ends;
}

// ----------------------------------------------------------------------------------------------------
// Controls

/** A slider turns a weight by this many doublings up or down. Its left end is 0 where 0 makes sense. */
const DOUBLINGS = 5;
/** A change is told when the hand has rested so long, in milliseconds: each is kept in the record. */
const REST = 180;

const WEIGHTS = [
  { key: "content_weight", name: "Content", note: "keeps the photograph", zero: true },
  { key: "style_weight", name: "Style", note: "brings the painting", zero: true },
  { key: "tv_weight", name: "Smoothness", note: "calms the surface", zero: true },
  { key: "learning_rate", name: "Step", note: "of each iteration", zero: false },
];

// What cannot be undone has no key of its own.
const ACTIONS = [
  { name: "pause", text: "Pause", key: "p", title: "Pause, and continue from there" },
  { name: "end_size", text: "Finish this size", title: "Go on now to the next size, or to the end" },
  { name: "copy", text: "Save a copy", key: "c", title: "Save the current picture, and go on" },
  { name: "finish", text: "Finish and save", title: "End the run here; the picture is its result" },
];

/** Sliders for the weights and buttons for the run. */
export function controls({ onChange, onAction }) {
  let pending = {}, timer = 0, paused = false;
  const flush = () => {
    clearTimeout(timer);
    const change = pending;
    pending = {};
    if (Object.keys(change).length) onChange(change);
  };
  const change = (key, value) => {
    pending[key] = value;
    clearTimeout(timer);
    timer = setTimeout(flush, REST);
  };
  const strength = row({
    name: "Strength", note: "photo to painting", min: 0, max: 1, step: 0.01,
    toValue: (at) => at, toPlace: (value) => value, on: (value) => change("strength", value),
  });
  strength.element.classList.add("strength");
  const weights = WEIGHTS.map((weight) => ({ ...weight, row: scaled(weight, (value) => change(weight.key, value)) }));
  let layers = [];
  const layerBox = make("div", { class: "rows" });
  const layerDetails = make("details", {}, make("summary", {}, "Layers of the style"),
    make("p", { class: "hint" }, "From fine strokes to large shapes. In the painterly recipe only their ratios matter."),
    layerBox);
  const more = make("details", { open: matchMedia("(min-width: 60rem)").matches },
    make("summary", {}, "Weights"), make("div", { class: "rows" }, ...weights.map((weight) => weight.row.element)));
  const act = (name) => onAction(name === "pause" && paused ? "resume" : name);
  const buttons = ACTIONS.map(({ name, text, key, title }) => make("button", {
    type: "button", "data-action": name, title: key ? `${title} (key ${key.toUpperCase()})` : title,
    "aria-keyshortcuts": key, onclick: () => act(name),
  }, text));
  const word = make("p", { class: "hint word", role: "status" });
  const fieldset = make("fieldset", {}, make("legend", { class: "spoken" }, "Weights"), strength.element, more, layerDetails);
  const bar = make("div", { class: "actions", role: "group", "aria-label": "The run" }, ...buttons);
  const element = make("section", { class: "controls", "aria-label": "Controls" }, bar, fieldset, word);
  document.addEventListener("keydown", (event) => {
    const typing = event.target instanceof HTMLInputElement && event.target.type !== "range";
    if (typing || event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
    const button = buttons[ACTIONS.findIndex((action) => action.key === event.key.toLowerCase())];
    if (button && !button.disabled) button.click();
  });
  const all = () => [["strength", strength], ...weights.map(({ key, row }) => [key, row])];
  const set = (values) => {
    // What the user is about to change is not taken out of the hand.
    for (const [key, row] of all()) {
      if (key in values && !(key in pending)) row.set(values[key]);
    }
    if (values.style_layer_weights && !("style_layer_weights" in pending)) {
      layers.forEach((layer, index) => layer.set(values.style_layer_weights[index] ?? 1));
    }
  };
  return {
    element,
    /** For a run that begins: sliders are centred on its weights. */
    start(values, names) {
      for (const [key, row] of all()) row.centre?.(values[key]);
      const words = ["fine", "", "", "", "large"];
      layers = names.map((name, index) => {
        const note = names.length > 1 ? [words[0], words[4]][[0, names.length - 1].indexOf(index)] ?? "" : "";
        const layer = scaled({ name, note, zero: true }, () => change("style_layer_weights", layers.map((l) => l.value())));
        layer.centre(values.style_layer_weights?.[index] ?? 1);
        return layer;
      });
      layerBox.replaceChildren(...layers.map((layer) => layer.element));
      set(values);
    },
    /** Shows weights that were changed here or elsewhere. */
    set,
    /** `can` may be given to say which actions are possible, such as { copy: false }. */
    setStatus(status, can = {}) {
      const running = status === "painting" || status === "paused";
      paused = status === "paused";
      fieldset.disabled = !running;
      buttons.forEach((button) => { button.disabled = !running || can[button.dataset.action] === false; });
      buttons[0].textContent = paused ? "Go on" : "Pause";
      buttons[0].classList.toggle("primary", paused);
    },
    /** One sentence about the last thing that was done. */
    say(text) {
      word.textContent = text;
    },
  };
}

/** A row with a name, a slider and a number, which show the same value. */
function row({ name, note, min, max, step, toValue, toPlace, on }) {
  const [id, hint] = [fresh("slider"), fresh("hint")];
  let current = null;
  const slider = make("input", {
    id, type: "range", min, max, step, "aria-describedby": hint, oninput: () => say(toValue(Number(slider.value)), slider),
  });
  const field = make("input", {
    type: "number", min: 0, step: "any", "aria-label": `${name}, as a number`,
    onchange: () => {
      const value = Number(field.value);
      if (field.value !== "" && Number.isFinite(value) && value >= 0) say(value, field);
      else show(current);
    },
  });
  const element = make("div", { class: "row" }, make("label", { for: id }, name),
    make("span", { class: "hint", id: hint }, note), field, slider);
  const show = (value) => {
    current = value;
    field.value = value == null ? "" : number(value);
    if (value != null) slider.value = toPlace(value);
    slider.setAttribute("aria-valuetext", value == null ? "not set" : number(value));
    const share = (Number(slider.value) - min) / (max - min);
    slider.style.setProperty("--at", `${100 * share}%`);
  };
  const say = (value) => {
    // What the field shows is what is meant, and what the record will have.
    const exact = Number(number(value));
    show(exact);
    on(exact);
  };
  return { element, set: show, value: () => current };
}

/** A row whose slider doubles and halves a weight. */
function scaled({ name, note, zero }, on) {
  let middle = 1;
  const least = zero ? -DOUBLINGS - 0.25 : -DOUBLINGS;
  const made = row({
    name, note, min: least, max: DOUBLINGS, step: 0.05, on,
    toValue: (at) => (zero && at < -DOUBLINGS ? 0 : middle * 2 ** at),
    toPlace: (value) => (value > 0 ? Math.log2(value / middle) : least),
  });
  made.centre = (value) => {
    middle = value > 0 ? value : 1;
    made.set(value);
  };
  return made;
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
