// The bar at the top: layers, channel, projection, outlines, colours, theme.
import { fill, find, fitCanvas, h } from "./dom.js";
import { css, mapColour } from "./colours.js";
import { formatNumber } from "./format.js";
import { showHint } from "./hint.js";

const PROJECTIONS = { none: "movie", mean: "mean", max: "maximum", std: "standard deviation" };
const OUTLINES = { active: "active now", footprints: "footprints", off: "off" };
const COLOUR_TITLES = { z0: "onset", curation: "decision" };
/** Columns that come first in the list of colours. */
const COLOUR_COLUMNS = ["z0", "curation", "kind", "confidence", "cluster", "region"];
const MOST_CHIPS = 5;

export function createToolbar(page) {
  const { store, info } = page;
  find("#title").textContent = info.title;
  document.title = `${info.title} – astrocast`;
  const channels = [...new Set(info.layers.map(({ channel }) => channel))];
  const channel = h(
    "select",
    { "aria-label": "Channel", onchange: () => chooseChannel(channel.value) },
    channels.map((name) => h("option", {}, name)),
  );
  const projection = h(
    "select",
    {
      title: "The movie, or a projection over all frames",
      onchange: () => store.set({ projection: projection.value, playing: false }),
    },
    Object.entries(PROJECTIONS).map(([value, name]) => h("option", { value }, name)),
  );
  const outlines = h(
    "select",
    {
      title: "Outlines that are drawn (o)",
      onchange: () => store.set({ outlines: outlines.value }),
    },
    Object.entries(OUTLINES).map(([value, name]) => h("option", { value }, name)),
  );
  const colour = h("select", {
    title: "Column that colours the events",
    onchange: () => store.set({ colourBy: colour.value }),
  });
  const legend = h("span.legend");
  find("#timeline").append(legend);
  fill(
    find("#options"),
    channels.length > 1 ? h("label", {}, "channel", channel) : null,
    projection,
    page.contrast.button,
    info.has_events
      ? [h("label", {}, "outlines", outlines), h("label", {}, "colour", colour)]
      : null,
  );
  fill(
    find("#menu"),
    page.browse
      ? h("button", { title: "Open another recording", onclick: () => page.browse.open() }, "Open")
      : null,
    h(
      "button.bare",
      { title: "Light or dark", onclick: switchTheme, "aria-label": "Light or dark" },
      "◐",
    ),
    h(
      "button.bare",
      { title: "Keys (?)", onclick: () => page.keyboard.help(), "aria-label": "Keys" },
      "⌨",
    ),
    h(
      "button.bare",
      {
        title: "First steps",
        onclick: () => showHint(info.has_events, true),
        "aria-label": "First steps",
      },
      "?",
    ),
  );

  function chooseChannel(name) {
    const kinds = store.get().layers.map((key) => page.layer(key).kind);
    const found = info.layers.filter(
      (layer) => layer.channel === name && kinds.includes(layer.kind),
    );
    const other = info.layers.find((layer) => layer.channel === name);
    store.set({ layers: (found.length ? found : [other]).map(({ key }) => key) });
  }

  function layers() {
    const now = store.get().layers;
    const own = page.layer(now[0]).channel;
    channel.value = own;
    fill(
      find("#layers"),
      info.layers
        .filter((layer) => layer.channel === own)
        .map(({ key, title, note }) =>
          h(
            "button",
            {
              "aria-pressed": String(now.includes(key)),
              title: `${note ? `${note}. ` : ""}Shift-click: side by side with the others`,
              onclick: (event) => choose(key, event.shiftKey || event.ctrlKey),
            },
            title,
          ),
        ),
    );
  }

  function choose(key, beside) {
    const now = store.get().layers;
    if (!beside) store.set({ layers: [key] });
    else if (now.includes(key)) {
      if (now.length > 1) store.set({ layers: now.filter((other) => other !== key) });
    } else store.set({ layers: [...now, key].slice(-4) });
  }

  function colours() {
    const { events, colourBy } = store.get();
    const names = events.columns.map(({ name }) => name);
    const first = COLOUR_COLUMNS.filter((name) => names.includes(name));
    const others = names.filter((name) => !first.includes(name));
    const option = (value) => h("option", { value }, COLOUR_TITLES[value] || value);
    fill(colour, h("option", { value: "" }, "one colour"), [...first, ...others].map(option));
    colour.value = names.includes(colourBy) ? colourBy : "";
    drawLegend();
  }

  function drawLegend() {
    page.recolour();
    const found = page.scale.legend;
    if (!found) return fill(legend);
    const more = Object.keys(found.items || {}).length - MOST_CHIPS;
    if (found.items)
      return fill(
        legend,
        Object.entries(found.items)
          .slice(0, MOST_CHIPS)
          .map(([name, value]) => chip(name, value)),
        more > 0 ? `and ${more} more` : null,
      );
    const bar = h("canvas");
    const unit = page.column(store.get().colourBy)?.unit || "";
    fill(legend, formatNumber(found.low), bar, `${formatNumber(found.high)} ${unit}`);
    const context = fitCanvas(bar);
    for (let x = 0; x < bar.clientWidth; x += 1) {
      context.fillStyle = css(mapColour(found.map, x / bar.clientWidth));
      context.fillRect(x, 0, 1, bar.clientHeight);
    }
    return undefined;
  }

  function switchTheme() {
    const next = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
    document.documentElement.dataset.theme = next;
    localStorage.setItem("astrocast-theme", next);
    store.set({ theme: next });
  }

  store.on(["layers"], layers);
  store.on(["events", "colourBy"], colours);
  store.on(["projection", "outlines"], () => {
    projection.value = store.get().projection;
    outlines.value = store.get().outlines;
  });
  projection.value = store.get().projection;
  outlines.value = store.get().outlines;
  layers();
  colours();
}

function chip(name, colour) {
  const mark = h("i");
  mark.style.background = colour;
  return h("span.chip", {}, mark, name);
}
