// Ask for properties that the file does not state, and say what they change.
import { send } from "./api.js";
import { button, fill, find, h } from "./dom.js";
import { complain } from "./messages.js";

const QUESTIONS = {
  frame_rate: {
    name: "Frame rate",
    unit: "Hz",
    effect: "gives times in seconds instead of frames, and rates per minute",
  },
  pixel_size: {
    name: "Pixel size",
    unit: "µm",
    effect: "gives lengths and areas in µm, and the scale bar",
  },
  offset: {
    name: "Camera offset",
    unit: "counts in the dark",
    effect: "without it dF/F is too small",
  },
};

export function createAsk(page) {
  const missing = Object.keys(QUESTIONS).filter((key) => (page.info[key] ?? null) === null);
  const laterKey = `astrocast-later:${page.info.title}`;
  if (!missing.length || sessionStorage.getItem(laterKey)) return;
  const banner = find("#banner");
  const inputs = new Map();
  for (const key of missing) {
    const { name } = QUESTIONS[key];
    inputs.set(key, h("input", { type: "number", min: 0, step: "any", "aria-label": name }));
  }

  async function save() {
    const filled = [...inputs].filter(([, input]) => input.value);
    if (!filled.length) return;
    const answers = Object.fromEntries(filled.map(([key, input]) => [key, Number(input.value)]));
    try {
      await send(`${page.base}/answers`, answers);
      location.reload(); // units, times and dF/F change everywhere
    } catch (error) {
      complain(error);
    }
  }

  function later() {
    sessionStorage.setItem(laterKey, "1");
    banner.hidden = true;
  }

  const questions = [...inputs].map(([key, input]) => {
    const { name, unit, effect } = QUESTIONS[key];
    return h("label", {}, `${name} `, input, ` ${unit} `, h("span", {}, `(${effect})`));
  });
  fill(
    banner,
    h("b", {}, "The file does not state:"),
    questions,
    button("Save", save),
    button("Later", later, { kind: "bare" }),
  );
  banner.hidden = false;
}
