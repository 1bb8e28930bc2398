// What turns a run while it paints.

import { fresh, make, number } from "./elements.js";

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
      buttons[0].textContent = paused ? "Resume" : "Pause";
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
