// What others get: a picture, a film clip, the table.
import { send } from "./api.js";
import { fill, h, saveFile } from "./dom.js";
import { complain, say } from "./messages.js";
import { pictureSVG } from "./picture.js";

export function createShare(page) {
  const { store, info } = page;
  const name = () => info.title.replaceAll("/", "-");
  const first = h("input", {
    type: "number",
    min: 0,
    max: info.frames - 1,
    value: 0,
    "aria-label": "First frame",
  });
  const last = h("input", {
    type: "number",
    min: 0,
    max: info.frames - 1,
    value: Math.min(info.frames - 1, 199),
    "aria-label": "Last frame",
  });
  const speed = h("input", {
    type: "number",
    min: 1,
    max: 60,
    value: Math.round(Math.min(60, Math.max(1, 2 * (info.frame_rate || 5)))),
    "aria-label": "Frames per second",
  });
  for (const input of [first, last, speed]) input.style.width = "5rem";
  const outlines = h("input", { type: "checkbox", checked: true });
  const curated = h("input", { type: "checkbox", checked: true });
  const state = h("div.soft", { role: "status" });

  async function attempt(action) {
    try {
      await action();
    } catch (error) {
      complain(error);
    }
    state.textContent = "";
  }

  const png = () =>
    attempt(async () => {
      await page.views.load();
      for (const view of page.views.views) {
        const blob = await new Promise((resolve) => {
          view.canvas.toBlob(resolve);
        });
        saveFile(blob, `${name()}-${view.layer.title.replace("/", "")}-${store.get().frame}.png`);
      }
    });
  const svg = () =>
    attempt(async () => {
      await page.views.load(true);
      for (const view of page.views.views)
        saveFile(
          new Blob([pictureSVG(page, view)], { type: "image/svg+xml" }),
          `${name()}-${view.layer.title.replace("/", "")}-${store.get().frame}.svg`,
        );
    });
  const clip = () =>
    attempt(async () => {
      const [layer] = store.get().layers;
      const contrast = await page.contrastOf(layer);
      const colours = Object.fromEntries(
        page.rasterRows().map(({ event }) => [event, hex(page.colourOf(event))]),
      );
      state.textContent = "making the film …";
      saveFile(
        await send(`${page.base}/clip`, {
          layer,
          first: Number(first.value),
          last: Number(last.value),
          ...contrast,
          frames_per_second: Number(speed.value),
          colours,
          outlines: outlines.checked,
        }),
        `${name()}.mp4`,
      );
    });
  const table = (format) =>
    attempt(async () => {
      const events = page.table.order();
      if (!events.length) {
        say("There are no events to write.");
        return;
      }
      saveFile(
        await send(`${page.base}/table`, { events, format, curated: curated.checked }),
        `${name()}-events.${format}`,
      );
    });

  const box = h("div.scroll");
  fill(
    box,
    h(
      "div.block",
      {},
      h("h2", {}, "Picture"),
      h("div.soft", {}, "What is seen now, with outlines and scale bar."),
      h("div.row", {}, h("button", { onclick: png }, "PNG"), h("button", { onclick: svg }, "SVG")),
    ),
    h(
      "div.block",
      {},
      h("h2", {}, "Film clip"),
      h(
        "div.row",
        {},
        "frames",
        first,
        "to",
        last,
        h(
          "button.bare",
          {
            onclick: () => {
              const [a, b] = store.get().window;
              first.value = Math.ceil(a);
              last.value = Math.floor(b);
            },
          },
          "as zoomed",
        ),
      ),
      h(
        "div.row",
        {},
        "frames per second",
        speed,
        h("label", {}, outlines, " outlines"),
        h("span.grow"),
        h("button", { onclick: clip }, "MP4"),
      ),
      state,
    ),
    info.has_events
      ? h(
          "div.block",
          {},
          h("h2", {}, "Table"),
          h("div.soft", {}, "The events that pass the filters, in the order of the table."),
          h(
            "div.row",
            {},
            h("label", {}, curated, " without rejected events"),
            h("span.grow"),
            h("button", { onclick: () => table("csv") }, "CSV"),
            h("button", { onclick: () => table("xlsx") }, "Excel"),
          ),
        )
      : null,
  );
  return { box };
}

function hex(colour) {
  if (colour.startsWith("#")) return colour;
  return `#${colour
    .match(/\d+/g)
    .slice(0, 3)
    .map((n) => Number(n).toString(16).padStart(2, "0"))
    .join("")}`;
}
