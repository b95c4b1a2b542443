// Contrast: from percentiles or by hand, with the histogram of the layer.
import { button as makeButton, cssColour, find, fitCanvas, h, row, soft, spacer } from "./dom.js";
import { MAPS } from "./colours.js";
import { formatNumber } from "./format.js";
import { complain } from "./messages.js";
import { suggestContrast } from "./views.js";

const PERCENTILES = [
  [0.5, 99.8],
  [1, 99],
  [0, 100],
];

export function createContrast(page) {
  const { store } = page;
  const button = makeButton("Contrast", toggle, {
    title: "Contrast and colours (c)",
    "aria-expanded": "false",
  });
  let popover = null;

  function toggle() {
    if (popover) {
      popover.remove();
      popover = null;
    } else open();
    button.setAttribute("aria-expanded", String(popover !== null));
  }

  function open() {
    const { layers, gamma: gammaNow, map: mapNow } = store.get();
    let histogram = null;

    /** Show histogram and contrast of the chosen layer. */
    async function load() {
      const layer = choice.value;
      histogram = null;
      try {
        const [found, now] = await Promise.all([
          suggestContrast(page, layer),
          page.contrastOf(layer),
        ]);
        if (layer !== choice.value) return; // another layer was chosen meanwhile
        histogram = found;
        show(store.get().contrast[layer] || now);
      } catch (error) {
        complain(error);
      }
    }

    async function setPercentiles(from, to) {
      const layer = choice.value;
      try {
        const found = await suggestContrast(page, layer, from, to);
        set(layer, { low: found.low, high: found.high });
      } catch (error) {
        complain(error);
      }
    }

    function setByHand() {
      const values = { low: Number(low.value), high: Number(high.value) };
      const isRange = values.high > values.low;
      low.classList.toggle("wrong", !isRange);
      if (isRange) set(choice.value, values);
    }

    function set(layer, values) {
      store.set({ contrast: { ...store.get().contrast, [layer]: values } });
      if (layer === choice.value) show(values);
    }

    function show(values) {
      low.value = formatNumber(values.low);
      high.value = formatNumber(values.high);
      low.classList.remove("wrong");
      if (histogram) draw(canvas, histogram, values); // otherwise `load` draws it
    }

    const choice = h(
      "select",
      { "aria-label": "Layer", onchange: load },
      layers.map((key) => h("option", { value: key }, page.layer(key).title)),
    );
    const canvas = h("canvas.spark");
    const signal = (name) =>
      h("input", { type: "number", step: "any", "aria-label": name, onchange: setByHand });
    const [low, high] = [signal("Black"), signal("White")];
    const gamma = h("input", {
      type: "range",
      min: 0.3,
      max: 2,
      step: 0.05,
      value: gammaNow,
      "aria-label": "Gamma",
      oninput: () => store.set({ gamma: Number(gamma.value) }),
    });
    const map = h(
      "select",
      { "aria-label": "Colours", onchange: () => store.set({ map: map.value }) },
      MAPS.map((name) => h("option", { value: name, selected: name === mapNow }, name)),
    );
    const presets = PERCENTILES.map(([from, to]) =>
      makeButton(`${from}–${to} %`, () => setPercentiles(from, to)),
    );
    popover = h(
      "div.popover",
      { role: "dialog", "aria-label": "Contrast" },
      row(choice, spacer(), makeButton("×", toggle, { kind: "bare", "aria-label": "Close" })),
      canvas,
      row(soft("black"), low, soft("white"), high),
      row(soft("percentiles"), presets),
      row(soft("gamma"), gamma, soft("colours"), map),
    );
    low.style.width = high.style.width = "6.5rem";
    gamma.style.width = "6rem";
    popover.style.left = `${button.getBoundingClientRect().left}px`;
    popover.style.top = `${find("header").getBoundingClientRect().bottom + 4}px`;
    document.body.append(popover);
    load();
  }

  // the list of layers in the popover is of the layers that were shown
  store.on(["layers"], () => {
    if (popover) toggle();
  });
  return { button, toggle };
}

function draw(canvas, { counts, edges }, { low, high }) {
  const context = fitCanvas(canvas);
  const { clientWidth: width, clientHeight: height } = canvas;
  const [first, last] = [edges[0], edges[edges.length - 1]];
  const x = (value) => ((value - first) / (last - first)) * width;
  const most = Math.max(...counts.map((n) => Math.log1p(n)));
  context.clearRect(0, 0, width, height);
  context.fillStyle = cssColour("--accent");
  counts.forEach((n, i) => {
    const tall = (Math.log1p(n) / most) * (height - 2);
    context.fillRect(x(edges[i]), height - tall, width / counts.length - 0.5, tall);
  });
  context.fillStyle = cssColour("--text");
  for (const value of [low, high])
    context.fillRect(Math.min(Math.max(x(value), 0), width - 2), 0, 2, height);
}
