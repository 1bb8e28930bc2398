// What is seen of a run, and turned during it: the parts of components.js, joined to the worker.

import { changeList, comparison, controls, lossCurves, make, progressLine } from "./components.js";
import { draw } from "./setup.js";

/** Seconds over which the pace is measured. */
const WINDOW = 15;

const card = (...children) => make("section", { class: "card" }, ...children);
const titled = (title, element) => make("section", { class: "card late" }, make("h2", {}, title), element);

/** `send(command)` goes to the worker, `leave()` back to where pictures are chosen. */
export function running({ send, leave }) {
  const canvas = make("canvas", { role: "img", "aria-label": "the picture as it is painted" });
  const parts = { view: comparison(), progress: progressLine(), curves: lossCurves(), changes: changeList() };
  const panel = controls({
    onChange: (turn) => send({ kind: "turn", turn }),
    onAction: (action) => act(action),
  });
  const link = make("a", { hidden: true }, "Download the picture");
  const back = make("button", { type: "button", onclick: () => leave() }, "Paint another picture");
  const after = make("div", { class: "after-run", hidden: true }, link, back);
  document.getElementById("left").append(card(parts.view.element), titled("Losses", parts.curves.element));
  document.getElementById("right").append(
    card(parts.progress.element), card(after, panel.element), titled("What was changed", parts.changes.element));

  let status = "preparing";
  let told = {};
  let pace = [];
  let layers = [];
  let name = "";
  let address;

  function act(action) {
    if (action === "finish") panel.say("The run ends as soon as the graphics card has finished the work it was given.");
    send({ kind: action });
  }
  /** Seconds until the end, by the work of the last seconds. */
  function left() {
    if (pace.length < 2) return null;
    const [first, last] = [pace[0], pace[pace.length - 1]];
    return last.work < first.work ? (last.work * (last.at - first.at)) / (first.work - last.work) / 1000 : null;
  }
  function update(result) {
    parts.progress.update({ ...told, status, name, seconds_left: left(), result });
    panel.setStatus(status);
    const percent = told.iterations ? Math.floor((100 * told.iteration) / told.iterations) : 0;
    document.title = { done: "✓ ", failed: "✗ " }[status] ?? (status === "preparing" ? "" : `${percent} % `);
    document.title += `${name} · impasto`;
  }
  function save(bytes, file) {
    if (address) URL.revokeObjectURL(address);
    address = URL.createObjectURL(new Blob([bytes], { type: "image/png" }));
    Object.assign(link, { href: address, download: file });
  }

  function finished(is) {
    after.hidden = !is;
    panel.element.classList.toggle("over", is);
  }
  const is = (next) => {
    status = next;
    pace = [];
  };

  return {
    /** A run is about to begin on the photograph that `preview`, a canvas, shows. */
    open({ title, preview, shape, settings }) {
      Object.assign(told, { stages: [], iterations: 0, iteration: 0, stage: 0, width: 0, height: 0 });
      [name, layers] = [title, []];
      is("preparing");
      parts.changes.set([]);
      parts.curves.start([]);
      parts.view.setSize(shape.wide, shape.high);
      preview.toBlob((blob) => parts.view.setBefore(URL.createObjectURL(blob)));
      // Until there is something else, the canvas shows what is to be painted.
      Object.assign(canvas, { width: preview.width, height: preview.height });
      canvas.getContext("2d").drawImage(preview, 0, 0);
      parts.view.setAfter(canvas);
      finished(false);
      panel.start(settings, settings.style_layers);
      panel.say("");
      update("The graphics card is compiling its programs and measuring both pictures. This may take a moment.");
    },
    news: {
      begun({ settings, progress }) {
        told = progress;
        layers = settings.style_layers;
        is("painting");
        parts.curves.start(["total", "content", ...layers.map((layer) => `style ${layer}`), "smoothness", ...(settings.finish ? ["finish"] : [])]);
        panel.start(settings, layers);
        update();
      },
      losses({ losses, at, progress }) {
        // What a run no longer has to do was not done.
        if (progress.iterations !== told.iterations) pace = [];
        told = progress;
        const { iteration, total, content, style_layers: style, nearest = 0, tv } = losses;
        parts.curves.push([[iteration, total, content, ...style, tv, nearest]]);
        pace.push({ at, work: told.left });
        while (pace.length > 2 && at - pace[0].at > WINDOW * 1000) pace.shift();
        update();
      },
      picture(pixels) {
        draw(canvas, pixels);
        parts.view.setAfter(canvas);
      },
      turned({ settings, changes }) {
        panel.set(settings);
        parts.changes.set(changes);
        panel.say("");
      },
      unturned({ text }) {
        panel.say(`${text}.`);
      },
      paused({ progress }) {
        told = progress;
        is("paused");
        update();
      },
      resumed() {
        is("painting");
        update();
      },
      saved({ bytes, file }) {
        save(bytes, file);
        link.click();
        panel.say(`${file} is saved where this browser puts downloads.`);
      },
      done({ bytes, file, progress }) {
        told = progress;
        is("done");
        save(bytes, file);
        link.hidden = false;
        finished(true);
        panel.say("The file records how it was made; impasto stylize --settings-from repeats it.");
        update(`${progress.iteration} iterations, ${told.width} × ${told.height} pixels`);
      },
    },
    failed() {
      is("failed");
      link.hidden = true;
      finished(true);
      update("The run has ended.");
    },
    busy: () => status === "preparing" || status === "painting" || status === "paused",
  };
}
