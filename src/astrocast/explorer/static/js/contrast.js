// Contrast: from percentiles or by hand, over the histogram of the layer.
import { cssColour, find, fitCanvas, h } from "./dom.js";
import { MAPS } from "./colours.js";
import { formatNumber } from "./format.js";
import { complain } from "./messages.js";
import { suggestContrast } from "./views.js";

export function createContrast(page) {
  const { store } = page;
  const button = h(
    "button",
    { title: "Contrast and colours (c)", "aria-expanded": "false", onclick: toggle },
    "Contrast",
  );
  let popover = null;

  function toggle() {
    if (popover) {
      popover.remove();
      popover = null;
    } else open();
    button.setAttribute("aria-expanded", String(popover !== null));
  }

  async function open() {
    const [first] = store.get().layers;
    const choice = h(
      "select",
      { "aria-label": "Layer", onchange: () => load(choice.value) },
      store.get().layers.map((key) => h("option", { value: key }, page.layer(key).title)),
    );
    const canvas = h("canvas.spark");
    const low = h("input", { type: "number", step: "any", "aria-label": "Black", onchange: apply });
    const high = h("input", {
      type: "number",
      step: "any",
      "aria-label": "White",
      onchange: apply,
    });
    const gamma = h("input", {
      type: "range",
      min: 0.3,
      max: 2,
      step: 0.05,
      value: store.get().gamma,
      "aria-label": "Gamma",
      oninput: () => store.set({ gamma: Number(gamma.value) }),
    });
    const map = h(
      "select",
      { "aria-label": "Colours", onchange: () => store.set({ map: map.value }) },
      MAPS.map((name) => h("option", { value: name, selected: name === store.get().map }, name)),
    );
    const presets = [
      [0.5, 99.8],
      [1, 99],
      [0, 100],
    ].map(([a, b]) => h("button", { onclick: () => suggest(a, b) }, `${a}–${b} %`));
    popover = h(
      "div.popover",
      { role: "dialog", "aria-label": "Contrast" },
      h(
        "div.row",
        {},
        choice,
        h("span.grow"),
        h("button.bare", { onclick: toggle, "aria-label": "Close" }, "×"),
      ),
      canvas,
      h("div.row", {}, h("span.soft", {}, "black"), low, h("span.soft", {}, "white"), high),
      h("div.row", {}, h("span.soft", {}, "percentiles"), presets),
      h("div.row", {}, h("span.soft", {}, "gamma"), gamma, h("span.soft", {}, "colours"), map),
    );
    low.style.width = high.style.width = "6.5rem";
    gamma.style.width = "6rem";
    popover.style.left = `${button.getBoundingClientRect().left}px`;
    popover.style.top = `${find("header").getBoundingClientRect().bottom + 4}px`;
    document.body.append(popover);
    let histogram = null;
    await load(first);

    async function load(layer) {
      try {
        histogram = await suggestContrast(page, layer);
        const now = await page.contrastOf(layer);
        [low.value, high.value] = [formatNumber(now.low), formatNumber(now.high)];
        draw(canvas, histogram, now);
      } catch (error) {
        complain(error);
      }
    }
    async function suggest(a, b) {
      const found = await suggestContrast(page, choice.value, a, b);
      set(found.low, found.high);
    }
    function apply() {
      if (Number(high.value) > Number(low.value)) set(Number(low.value), Number(high.value));
    }
    function set(black, white) {
      [low.value, high.value] = [formatNumber(black), formatNumber(white)];
      store.set({
        contrast: { ...store.get().contrast, [choice.value]: { low: black, high: white } },
      });
      if (histogram) draw(canvas, histogram, { low: black, high: white }); // else `load` draws it
    }
  }

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
