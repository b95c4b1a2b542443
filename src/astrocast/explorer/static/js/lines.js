// Small line plots of a preview: the baseline, the shifts.
import uPlot from "/static/vendor/uplot/uPlot.esm.js";
import { cssColour, fill, h, rem } from "./dom.js";

const COLOURS = ["--plot-2", "--plot-3", "--plot-1", "--plot-4"];

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
  const keys = names.map((name, i) => {
    const mark = h("i");
    mark.style.background = cssColour(COLOURS[i % COLOURS.length]);
    return h("span.chip", {}, mark, name);
  });
  fill(box, h("div.row", {}, keys), holder, h("div.row", {}, numbers));
  const axis = {
    stroke: cssColour("--soft"),
    font: `${0.78 * rem()}px system-ui, sans-serif`,
    grid: { stroke: cssColour("--line"), width: 1 },
    ticks: { stroke: cssColour("--line"), width: 1 },
  };
  new uPlot(
    {
      width: box.clientWidth,
      height: 11 * rem(),
      legend: { show: false },
      cursor: { drag: { x: false, y: false } },
      scales: { x: { time: false } },
      axes: [
        {
          ...axis,
          size: 2 * rem(),
          values: (_, ticks) => ticks.map((t) => (rate ? `${Number((t / rate).toFixed(1))} s` : t)),
        },
        { ...axis, size: 4 * rem() },
      ],
      series: [
        {},
        ...names.map((_, i) => ({
          stroke: cssColour(COLOURS[i % COLOURS.length]),
          width: 1.3,
          points: { show: false },
        })),
      ],
    },
    [
      Array.from({ length: count }, (_, i) => first + i),
      ...names.map((name) => result.lines[name]),
    ],
    holder,
  );
}
