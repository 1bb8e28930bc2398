// Curves of losses.

import { draw, make, number } from "./elements.js";

// Colours that people with any kind of colour vision can tell apart, after Okabe and Ito, as in the report.
const COLOURS = ["var(--ink)", "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b58900", "#56b4e9", "#7d5ba6", "#8c8c8c"];
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
