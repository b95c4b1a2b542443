// Traces of the selected event and of the clicked pixel, over the whole recording.
import uPlot from "/static/vendor/uplot/uPlot.esm.js";
import { getJSON } from "./api.js";
import { cssColour, fill, find, h, rem } from "./dom.js";
import { formatTicks } from "./format.js";
import { complain } from "./messages.js";
import { gutter } from "./timeline.js";

const HOW = "Click a pixel or an event to see its trace.";
const MOST_TRACES = 60;

export function createTraces(page) {
  const { store, info } = page;
  const box = find("#traces");
  const layer = h(
    "select",
    {
      "aria-label": "Signal of the traces",
      onchange: () => store.set({ traceLayer: layer.value }),
    },
    info.layers.map(({ key, title, channel }) =>
      h("option", { value: key }, channel === "ch0" ? title : `${title} ${channel}`),
    ),
  );
  layer.value = store.get().traceLayer;
  const keys = h("span.row");
  const head = h("div.head", {}, h("label", {}, layer), keys);
  const empty = h("div.empty", {}, HOW);
  const holder = h("div");
  fill(box, head, holder, empty);
  const cache = new Map(); // request -> trace
  const frames = Array.from({ length: info.frames }, (_, i) => i);
  let plot = null;
  let series = []; // what is plotted

  async function fetchTrace(path, values = {}) {
    const key = path + JSON.stringify(values);
    if (!cache.has(key)) {
      const request = getJSON(`${page.base}${path}`, values);
      request.catch(() => cache.delete(key)); // the next call requests it again
      cache.set(key, request);
    }
    if (cache.size > MOST_TRACES) cache.delete(cache.keys().next().value);
    return (await cache.get(key)).values;
  }

  async function update() {
    const { selected, pixel, traceLayer, radius } = store.get();
    layer.value = traceLayer;
    const ticket = (update.ticket = (update.ticket || 0) + 1);
    const late = setTimeout(() => {
      empty.textContent = "computing the trace …";
      empty.hidden = !(selected || pixel);
    }, 200);
    try {
      const [ofEvent, ofPixel] = await Promise.all([
        selected ? fetchEvent(selected, traceLayer) : null,
        pixel ? fetchTrace("/pixel", { layer: traceLayer, ...pixel, radius }) : null,
      ]);
      if (ticket !== update.ticket) return;
      series = [];
      if (ofPixel) {
        const label = `pixel ${pixel.row}, ${pixel.column}`;
        series.push({ label, values: ofPixel, colour: "--plot-2", width: 1 });
      }
      if (ofEvent) {
        const label = `event ${selected}, mean over its footprint`;
        series.push({ label, values: ofEvent, colour: "--plot-1", width: 1.5 });
      }
      build();
    } catch (error) {
      if (ticket === update.ticket) complain(error);
    } finally {
      clearTimeout(late);
      if (ticket === update.ticket) {
        empty.textContent = HOW;
        empty.hidden = series.length > 0;
      }
    }
  }

  /** The trace of an event; a number can be used again for another event after an undo. */
  const fetchEvent = (event, key) =>
    fetchTrace(`/events/${event}/trace`, { layer: key, version: page.eventsVersion });

  function build() {
    page.traceSeries = series;
    empty.hidden = series.length > 0;
    head.hidden = series.length === 0;
    fill(
      keys,
      series.map(({ label, colour }) => {
        const line = h("i");
        line.style.background = cssColour(colour);
        return h("span.key", {}, line, label);
      }),
    );
    plot?.destroy();
    plot = null;
    if (!series.length) return;
    plot = new uPlot(options(), [frames, ...series.map(({ values }) => values)], holder);
  }

  const formatTick = (value) =>
    Math.abs(value) >= 10000 ? value.toExponential(0) : String(Number(value.toPrecision(4)));

  function options() {
    const [text, line] = [cssColour("--soft"), cssColour("--line")];
    const font = `${0.8 * rem()}px system-ui, sans-serif`;
    const stroke = { stroke: line, width: 1 };
    const axis = { stroke: text, font, grid: stroke, ticks: stroke };
    const rate = info.frame_rate;
    return {
      width: box.clientWidth,
      height: box.clientHeight,
      legend: { show: false },
      padding: [1.5 * rem(), 0.8 * rem(), 0, 0],
      cursor: { y: false, drag: { x: false, y: false }, points: { size: 6 } },
      scales: { x: { time: false, range: () => store.get().window.slice() } },
      axes: [
        { ...axis, size: 2.1 * rem(), values: (_, ticks) => formatTicks(ticks, rate) },
        { ...axis, size: gutter(), values: (_, ticks) => ticks.map(formatTick) },
      ],
      series: [
        {},
        ...series.map(({ colour, width }) => ({
          stroke: cssColour(colour),
          width: (width * rem()) / 13,
          points: { show: false },
          spanGaps: false,
        })),
      ],
      hooks: { drawClear: [shade], draw: [cursor] },
      focus: { alpha: 1 },
      ms: 1,
    };
  }

  function shade(u) {
    const { selected } = store.get();
    const { ctx, bbox } = u;
    for (const row of page.placeEvents?.() || []) {
      const [a, b] = [u.valToPos(row.z0 - 0.5, "x", true), u.valToPos(row.z1 - 0.5, "x", true)];
      const strong = row.event === selected;
      ctx.save();
      ctx.beginPath();
      ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
      ctx.clip();
      ctx.globalAlpha = strong ? 1 : 0.35;
      ctx.fillStyle = cssColour("--shade");
      ctx.fillRect(a, bbox.top, Math.max(2, b - a), bbox.height);
      ctx.restore();
    }
  }

  function cursor(u) {
    const x = u.valToPos(store.get().frame, "x", true);
    if (x < u.bbox.left || x > u.bbox.left + u.bbox.width) return;
    u.ctx.fillStyle = cssColour("--cursor");
    u.ctx.fillRect(x - devicePixelRatio, u.bbox.top, 2 * devicePixelRatio, u.bbox.height);
  }

  holder.addEventListener("click", () => {
    if (plot && plot.cursor.idx !== null && plot.cursor.idx !== undefined)
      page.player.go(plot.cursor.idx);
  });
  let unit = rem();
  new ResizeObserver(() => {
    if (unit !== rem()) {
      // the size of the letters changed
      unit = rem();
      build();
    } else plot?.setSize({ width: box.clientWidth, height: box.clientHeight });
  }).observe(box);
  store.on(["selected", "pixel", "traceLayer", "radius"], update);
  store.on(["frame", "place"], () => plot?.redraw(false));
  store.on(["window"], () =>
    plot?.setScale("x", { min: store.get().window[0], max: store.get().window[1] }),
  );
  store.on(["theme"], build);
  update();
  return { update };
}
