// Plots of a preview: the background, or the shifts. Dashed: the present result.
import uPlot from "/static/vendor/uplot/uPlot.esm.js";
import { cssColour, fill, h, rem, row } from "./dom.js";
import { formatTicks } from "./format.js";

const isNow = (name) => name.endsWith("now");

/** Return the colour of a line; shifts have the colours of the timeline. */
function colourOf(name) {
  if (name === "signal") return cssColour("--plot-2");
  return cssColour(name.startsWith("rows") ? "--plot-1" : "--plot-3");
}

export function drawLines(box, result, first, rate) {
  if (!result.lines) {
    fill(box);
    return;
  }
  const names = Object.keys(result.lines);
  const count = result.lines[names[0]].length;
  const holder = h("div");
  const numbers = Object.entries(result.numbers || {}).map(([name, value]) =>
    h("span.chip", {}, `${name}: ${value}`),
  );
  const keys = names.map((name) => {
    const mark = h("i");
    mark.style.background = colourOf(name);
    return h("span.chip", {}, mark, isNow(name) ? `${name} (dashed)` : name);
  });
  fill(box, row(keys), holder, row(numbers));
  const grid = { stroke: cssColour("--line"), width: 1 };
  const font = `${0.78 * rem()}px system-ui, sans-serif`;
  const axis = { stroke: cssColour("--soft"), font, grid, ticks: grid };
  const series = names.map((name) => ({
    stroke: colourOf(name),
    width: isNow(name) ? 2 : 1.3,
    dash: isNow(name) ? [5, 5] : undefined,
    points: { show: false },
  }));
  const options = {
    width: box.clientWidth,
    height: 11 * rem(),
    legend: { show: false },
    cursor: { drag: { x: false, y: false } },
    scales: { x: { time: false } },
    axes: [
      { ...axis, size: 2 * rem(), values: (_, ticks) => formatTicks(ticks, rate) },
      { ...axis, size: 4 * rem() },
    ],
    series: [{}, ...series],
  };
  const frames = Array.from({ length: count }, (_, i) => first + i);
  new uPlot(options, [frames, ...names.map((name) => result.lines[name])], holder);
}
