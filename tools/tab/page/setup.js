// What is chosen before a run: two pictures, a look, a size and a strength.

import { make } from "./components.js";

const BUNDLED = {
  content: [
    ["photo.jpg", "the cat"],
    ["coffee.jpg", "the coffee"],
  ],
  style: [
    ["painting.jpg", "the evening in oil"],
    ["woodcut.jpg", "the woodcut"],
    ["mosaic.jpg", "the mosaic"],
  ],
};
const WHAT = { content: "a photograph", style: "a painting" };
const SIZES = [64, 96, 128, 192, 256, 384, 512, 640, 768, 1024, 1280, 1536, 2048, 3072, 4096];
// What a processor can do: the compiler of Chromium's own driver gives up on the kernels of the painterly
// recipe.
const USUAL = { size: 512, look: "painterly", slow: 64, slowLook: "book" };

const at = (id) => document.getElementById(id);

/** Pixels that came from the worker, on a canvas. */
export function draw(canvas, { width, height, bytes }) {
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  const pixels = new ImageData(new Uint8ClampedArray(bytes.buffer, bytes.byteOffset, bytes.length), width, height);
  canvas.getContext("2d").putImageData(pixels, 0, 0);
}

/** The place for one picture. `take` gets a file that was chosen for it. */
function easel(which, take) {
  const canvas = make("canvas", { width: 4, height: 3, "aria-hidden": "true" });
  const input = make("input", {
    type: "file", id: `${which}-file`, accept: "image/*,.tif,.tiff", "aria-label": `Choose ${WHAT[which]}`,
    onchange: () => input.files[0] && choose(input.files[0]),
  });
  const about = make("p", { class: "hint about", role: "status" });
  const shelf = make("ul", { class: "shelf", "aria-label": "Pictures that come with the page" });
  const element = at(which);
  const pressed = (file) => {
    for (const button of shelf.querySelectorAll("button")) button.setAttribute("aria-pressed", String(button.dataset.file === file));
  };
  const busy = (name) => {
    element.classList.add("busy");
    about.className = "hint about";
    about.textContent = `Reading ${name}.`;
  };
  function choose(file) {
    pressed("");
    busy(file.name);
    take(which, file);
    input.value = "";
  }
  async function bundled(name) {
    pressed(name);
    busy(name);
    try {
      const answer = await fetch(name);
      if (!answer.ok) throw new Error(`the server said ${answer.status}`);
      take(which, new File([await answer.blob()], name));
    } catch (thrown) {
      refuse(`${name} could not be loaded (${thrown.message}); check the connection, or choose a file.`);
    }
  }
  function refuse(text) {
    element.classList.remove("busy");
    about.className = "about error";
    about.textContent = text;
    pressed("");
  }
  for (const [file, alt] of BUNDLED[which]) {
    const image = make("img", { src: file, alt, loading: "lazy" });
    shelf.append(make("li", {}, make("button", { type: "button", "data-file": file, title: alt, onclick: () => bundled(file) }, image)));
  }
  const drop = make("label", { class: "drop" }, canvas, input, make("span", { class: "say" }, `Choose or drop ${WHAT[which]}`));
  element.append(drop, about, shelf);
  const over = (event) => {
    event.preventDefault();
    element.classList.add("over");
  };
  element.addEventListener("dragenter", over);
  element.addEventListener("dragover", over);
  element.addEventListener("dragleave", () => element.classList.remove("over"));
  element.addEventListener("drop", (event) => {
    element.classList.remove("over");
    const file = event.dataTransfer.files[0];
    if (!file) return;
    event.preventDefault();
    event.stopPropagation();
    choose(file);
  });
  return {
    canvas, choose, bundled, refuse,
    own: false,
    show(opened) {
      draw(canvas, opened);
      canvas.setAttribute("aria-hidden", "false");
      canvas.setAttribute("role", "img");
      canvas.setAttribute("aria-label", `${WHAT[which]}: ${opened.name}`);
      element.classList.remove("busy");
      about.className = "hint about";
      const notes = opened.notes.map((note) => ` It was read, but ${note}.`).join("");
      about.textContent = `${opened.name}, ${opened.wide} × ${opened.high}.${notes}`;
    },
  };
}

/** A slider over a list of values, and what it says of one. */
function slider({ id, name, note, values, say, onInput }) {
  const output = make("output", { for: id });
  const input = make("input", { id, type: "range", min: 0, max: values.length - 1, step: 1, oninput: () => (show(), onInput()) });
  const element = make("div", { class: "row" }, make("label", { for: id }, name), make("span", { class: "hint" }, note), output, input);
  const value = () => values[Number(input.value)];
  function show() {
    output.textContent = say(value());
    input.setAttribute("aria-valuetext", say(value()));
    input.style.setProperty("--at", `${(100 * Number(input.value)) / (values.length - 1)}%`);
  }
  return {
    element, value,
    set(wanted) {
      const distance = (v) => Math.abs(v - wanted);
      const best = values.reduce((a, b) => (distance(b) < distance(a) ? b : a));
      input.value = values.indexOf(best);
      show();
    },
  };
}

/** `take(which, file)` gets chosen files, `ask()` hears that something else was chosen, `paint()` that painting is wanted. */
export function setup({ take, ask, paint }) {
  const easels = { content: easel("content", chosen), style: easel("style", chosen) };
  let looks = [];
  let touched = false;
  let able = false;
  let fits = true;
  const opened = {};

  function chosen(which, file) {
    delete opened[which];
    enable();
    take(which, file);
  }
  function enable() {
    at("paint").disabled = !(able && fits && opened.content && opened.style);
  }

  const size = slider({
    id: "size", name: "Size", note: "longest side", values: SIZES, say: (side) => `${side} pixels`, onInput: () => ask(),
  });
  const strength = slider({
    id: "strength", name: "Strength", note: "photograph to painting", values: Array.from({ length: 101 }, (_, i) => i / 100),
    say: (value) => value.toFixed(2),
    onInput: () => {
      touched = true;
    },
  });
  at("sliders").append(size.element, strength.element);
  size.set(USUAL.size);
  strength.set(0.5);
  const look = at("look");
  look.addEventListener("change", () => {
    describe();
    ask();
  });
  function describe() {
    const found = looks.find(({ name }) => name === look.value);
    at("look-note").textContent = found ? `${found.description}.` : "";
    touched = false;
    strength.set(0.5);
  }
  at("setup").addEventListener("submit", (event) => {
    event.preventDefault();
    paint();
  });

  // Anywhere else on the page: the first file is the photograph, the second the painting.
  const hidden = () => at("setup").hidden;
  document.addEventListener("dragover", (event) => event.preventDefault());
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    if (hidden()) return;
    const [first, second] = event.dataTransfer.files;
    if (first) easels.content.choose(first);
    if (second) easels.style.choose(second);
  });
  // What is pasted goes to the picture that the keyboard is at, else to the one that is still the page's own.
  let pasted = false;
  document.addEventListener("paste", (event) => {
    const file = event.clipboardData?.files[0];
    if (!file || hidden()) return;
    event.preventDefault();
    const within = document.activeElement?.closest(".easel")?.id;
    easels[within ?? (pasted ? "style" : "content")].choose(file);
    pasted = !within && !pasted;
  });

  return {
    request() {
      const request = { look: look.value, size: size.value() };
      return touched ? { ...request, strength: strength.value() } : request;
    },
    /** The numbers of the look, and the strength that is shown. */
    settings: () => ({ ...looks.find(({ name }) => name === look.value).settings, strength: strength.value() }),
    /** A name for people: the page's own pictures have one, others are called as their files. */
    title(which, name) {
      const own = BUNDLED[which].find(([file]) => file === name);
      return own ? own[1] : name.replace(/\.[^.]*$/, "");
    },
    begin(list) {
      const wanted = look.value || USUAL.look;
      looks = list;
      look.replaceChildren(...list.map(({ name }) => make("option", { value: name }, name)));
      look.value = wanted;
      describe();
      if (!opened.content && !opened.style) {
        easels.content.bundled(BUNDLED.content[0][0]);
        easels.style.bundled(BUNDLED.style[0][0]);
      }
    },
    show(news) {
      opened[news.which] = news;
      easels[news.which].show(news);
      enable();
    },
    refuse({ which, text }) {
      easels[which].refuse(`${text}.`);
      enable();
    },
    /** For a device that is a processor. */
    slow() {
      size.set(USUAL.slow);
      at("look").value = USUAL.slowLook;
      describe();
    },
    /** What a run would need, or why there can be none. */
    needs({ bytes, text }) {
      fits = !text;
      enable();
      at("needs").className = text ? "error" : "hint";
      at("needs").textContent = text ? `${text}.` : `It takes about ${Math.ceil(bytes / 2 ** 20)} MB of the graphics card's memory.`;
    },
    ready(text, share) {
      at("ready-text").textContent = text;
      at("ready-bar").hidden = share === undefined;
      if (share !== undefined) at("ready-bar").value = share;
    },
    able(is) {
      able = is;
      enable();
    },
    preview: () => easels.content.canvas,
    shape: () => opened.content,
  };
}
