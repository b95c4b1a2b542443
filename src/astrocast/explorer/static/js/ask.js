// What the file does not say is asked, with what depends on it.
import { getJSON, send } from "./api.js";
import { fill, find, h } from "./dom.js";
import { complain } from "./messages.js";

const QUESTIONS = {
  frame_rate: {
    name: "Frame rate",
    unit: "Hz",
    effect: "times in seconds instead of frames; rates per minute",
  },
  pixel_size: { name: "Pixel size", unit: "µm", effect: "lengths and areas in µm; the scale bar" },
  offset: {
    name: "Camera offset",
    unit: "counts in the dark",
    effect: "without it dF/F is too small",
  },
};

export function createAsk(page) {
  const missing = Object.keys(QUESTIONS).filter(
    (key) => page.info[key] === null || page.info[key] === undefined,
  );
  const banner = find("#banner");
  if (!missing.length || sessionStorage.getItem(`astrocast-later:${page.base}`)) return;
  const inputs = Object.fromEntries(
    missing.map((key) => [
      key,
      h("input", { type: "number", min: 0, step: "any", "aria-label": QUESTIONS[key].name }),
    ]),
  );
  const answer = async () => {
    const given = Object.fromEntries(
      missing.filter((key) => inputs[key].value).map((key) => [key, Number(inputs[key].value)]),
    );
    if (!Object.keys(given).length) return;
    try {
      await send(`${page.base}/answers`, given);
      const info = await getJSON(page.base);
      Object.assign(page.info, info);
      location.reload();
    } catch (error) {
      complain(error);
    }
  };
  fill(
    banner,
    h("b", {}, "Not known:"),
    missing.map((key) =>
      h(
        "label",
        {},
        `${QUESTIONS[key].name} `,
        inputs[key],
        ` ${QUESTIONS[key].unit} `,
        h("span", {}, `(${QUESTIONS[key].effect})`),
      ),
    ),
    h("button", { onclick: answer }, "Keep"),
    h(
      "button.bare",
      {
        onclick: () => {
          sessionStorage.setItem(`astrocast-later:${page.base}`, "1");
          banner.hidden = true;
        },
      },
      "Later",
    ),
  );
  banner.hidden = false;
}
