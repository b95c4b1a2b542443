// Traces of the selected event and of the clicked pixel, over the whole recording.
import uPlot from "/static/vendor/uplot/uPlot.esm.js";
import { getJSON } from "./api.js";
import { cssColour, fill, find, h, rem } from "./dom.js";
import { complain } from "./messages.js";
import { gutter } from "./timeline.js";

const HOW = "Click a pixel or an event to see its trace.";

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
  const cache = new Map();
  let plot = null;
  let shown = { event: null, pixel: null };

  const frames = Array.from({ length: info.frames }, (_, i) => i);

  async function fetchTrace(path, values = {}) {
    const key = path + JSON.stringify(values);
    if (!cache.has(key))
      cache.set(
        key,
        getJSON(`${page.base}${path}`, values).catch((error) => {
          cache.delete(key);
          throw error;
        }),
      );
    if (cache.size > 60) cache.delete(cache.keys().next().value);
    return (await cache.get(key)).values;
  }

  async function update() {
    const { selected, pixel, traceLayer } = store.get();
    layer.value = traceLayer;
    const ticket = (update.ticket = (update.ticket || 0) + 1);
    const late = setTimeout(() => {
      empty.textContent = "computing the trace …";
      empty.hidden = !(selected || pixel);
    }, 200);
    try {
      const [event, point] = await Promise.all([
        selected
          ? fetchTrace(`/events/${selected}/trace`, { layer: traceLayer, made: page.eventsVersion })
          : null,
        pixel
          ? fetchTrace("/pixel", {
              layer: traceLayer,
              row: pixel.row,
              column: pixel.column,
              radius: store.get().radius,
            })
          : null,
      ]);
      if (ticket !== update.ticket) return;
      shown = { event, pixel: point };
      build();
    } catch (error) {
      if (ticket === update.ticket) complain(error);
    } finally {
      clearTimeout(late);
      if (ticket === update.ticket) {
        empty.textContent = HOW;
        empty.hidden = Boolean(page.traceSeries?.length);
      }
    }
  }

  function build() {
    const { selected, pixel } = store.get();
    const series = [];
    if (shown.pixel)
      series.push({
        label: `pixel ${pixel.row}, ${pixel.column}`,
        values: shown.pixel,
        colour: "--plot-2",
        width: 1,
      });
    if (shown.event)
      series.push({
        label: `event ${selected}, mean over its footprint`,
        values: shown.event,
        colour: "--plot-1",
        width: 1.5,
      });
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
    page.traceSeries = series;
    if (!series.length) return;
    plot = new uPlot(options(series), [frames, ...series.map(({ values }) => values)], holder);
  }

  function options(series) {
    const [text, line] = [cssColour("--soft"), cssColour("--line")];
    const font = `${0.8 * rem()}px system-ui, sans-serif`;
    const axis = {
      stroke: text,
      font,
      grid: { stroke: line, width: 1 },
      ticks: { stroke: line, width: 1 },
    };
    const [first, last] = store.get().window;
    const rate = info.frame_rate;
    return {
      width: box.clientWidth,
      height: box.clientHeight,
      legend: { show: false },
      padding: [1.5 * rem(), 0.8 * rem(), 0, 0],
      cursor: { y: false, drag: { x: false, y: false }, points: { size: 6 } },
      scales: { x: { time: false, range: () => store.get().window.slice() } },
      axes: [
        {
          ...axis,
          size: 2.1 * rem(),
          values: (_, ticks) => ticks.map((t) => (rate ? `${Number((t / rate).toFixed(1))} s` : t)),
          splits: rate ? undefined : undefined,
        },
        {
          ...axis,
          size: gutter(),
          values: (_, ticks) =>
            ticks.map((v) =>
              Math.abs(v) >= 10000 ? v.toExponential(0) : String(Number(v.toPrecision(4))),
            ),
        },
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
      first,
      last,
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
      // letters have another size now
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
