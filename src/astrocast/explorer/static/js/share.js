// Files to share: a picture, a film clip, the table.
import { send } from "./api.js";
import { block, button, h, note, numberField, row, saveFile, spacer } from "./dom.js";
import { complain, say } from "./messages.js";
import { pictureSVG } from "./picture.js";

export function createShare(page) {
  const { store, info } = page;
  const name = info.title.replaceAll("/", "-");
  const limits = { min: 0, max: info.frames - 1 };
  const first = numberField("First frame", 0, limits);
  const last = numberField("Last frame", Math.min(info.frames - 1, 199), limits);
  const twice = Math.round(2 * (info.frame_rate || 5));
  const speed = numberField("Frames per second", Math.min(60, Math.max(1, twice)), {
    min: 1,
    max: 60,
  });
  const outlines = h("input", { type: "checkbox", checked: true });
  const curated = h("input", { type: "checkbox", checked: true });
  const state = h("div.soft", { role: "status" });

  /** Return a function that performs an action; its error becomes a message. */
  const attempt = (action) => async () => {
    try {
      await action();
    } catch (error) {
      complain(error);
    } finally {
      state.textContent = "";
    }
  };

  const pictureName = (view, frame, ending) =>
    `${name}-${view.layer.title.replace("/", "")}-${frame}.${ending}`;

  async function savePNG() {
    const frame = await page.views.drawCompletely();
    for (const view of page.views.views) {
      const blob = await new Promise((resolve) => {
        view.canvas.toBlob(resolve);
      });
      saveFile(blob, pictureName(view, frame, "png"));
    }
  }

  async function saveSVG() {
    const frame = await page.views.drawCompletely(true);
    for (const view of page.views.views) {
      const blob = new Blob([pictureSVG(page, view, frame)], { type: "image/svg+xml" });
      saveFile(blob, pictureName(view, frame, "svg"));
    }
  }

  async function saveClip() {
    const [layer] = store.get().layers;
    const rows = page.rasterRows();
    const colours = rows.map(({ event }) => [event, toHex(page.colourOf(event))]);
    state.textContent = "making the film …";
    const wanted = {
      layer,
      first: Number(first.value),
      last: Number(last.value),
      frames_per_second: Number(speed.value),
      colours: Object.fromEntries(colours),
      outlines: outlines.checked,
      ...(await page.contrastOf(layer)),
    };
    saveFile(await send(`${page.base}/clip`, wanted), `${name}.mp4`);
  }

  async function saveTable(format) {
    const events = page.table.order();
    if (!events.length) {
      say("No event passes the filters: there is no table to save.");
      return;
    }
    const wanted = { events, format, curated: curated.checked };
    saveFile(await send(`${page.base}/table`, wanted), `${name}-events.${format}`);
  }

  function useVisibleTime() {
    const [begin, end] = store.get().window;
    first.value = Math.ceil(begin);
    last.value = Math.floor(end);
  }

  const table = block(
    "Table",
    note("The events that pass the filters, in the order of the table."),
    row(
      h("label", {}, curated, " without rejected events"),
      spacer(),
      button(
        "CSV",
        attempt(() => saveTable("csv")),
      ),
      button(
        "Excel",
        attempt(() => saveTable("xlsx")),
      ),
    ),
  );
  const box = h(
    "div.scroll",
    {},
    block(
      "Picture",
      note("Each picture as it is shown now, with outlines and scale bar."),
      row(button("PNG", attempt(savePNG)), button("SVG", attempt(saveSVG))),
    ),
    block(
      "Film clip",
      row(
        "frames",
        first,
        "to",
        last,
        button("as in the plots", useVisibleTime, {
          kind: "bare",
          title: "The frames that the plots below the movie show",
        }),
      ),
      row(
        "frames per second",
        speed,
        h("label", {}, outlines, " outlines"),
        spacer(),
        button("MP4", attempt(saveClip)),
      ),
      state,
    ),
    info.has_events ? table : null,
  );
  return { box };
}

/** Return a colour "#rrggbb" or "rgb(r, g, b)" as "#rrggbb". */
function toHex(colour) {
  if (colour.startsWith("#")) return colour;
  const parts = colour.match(/\d+/g).slice(0, 3);
  return `#${parts.map((part) => Number(part).toString(16).padStart(2, "0")).join("")}`;
}
