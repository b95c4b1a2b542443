// Results of previews side by side: counts, and outlines over the movie.
import { CHANGES } from "./colours.js";
import { fill, h } from "./dom.js";

const MOST = 6;

function outlines(result) {
  const frames = new Map();
  for (const event of result.events) {
    for (const [frame, points] of Object.entries(event.frames)) {
      const path = new Path2D();
      for (let i = 0; i < points.length; i += 4) {
        path.moveTo(points[i + 1], points[i]);
        path.lineTo(points[i + 3], points[i + 2]);
      }
      if (!frames.has(Number(frame))) frames.set(Number(frame), []);
      frames.get(Number(frame)).push({ kind: event.kind, path });
    }
  }
  return (frame) => frames.get(frame) || [];
}

/** A list of previews; the one that is chosen is drawn. `reuse` takes over its settings. */
export function createPreviews(page, reuse) {
  const { store } = page;
  const box = h("div");
  const list = [];
  let letter = 0;

  function add(result, settings, changes) {
    if (!result.counts) return;
    const name = String.fromCharCode(65 + (letter % 26));
    letter += 1;
    const entry = {
      name,
      result,
      settings,
      changes,
      rows: result.rows,
      columns: result.columns,
      outlinesAt: outlines(result),
    };
    list.unshift(entry);
    if (list.length > MOST) list.pop();
    choose(entry);
  }

  function choose(entry) {
    store.set({ preview: entry });
    const [first, stop] = entry.result.frames;
    const { frame } = store.get();
    if (frame < first || frame >= stop) page.player.go(Math.round((first + stop) / 2));
  }

  function show() {
    const { preview } = store.get();
    if (!list.length) return;
    const now = preview || list[0];
    const counts = h(
      "div.counts",
      {},
      Object.entries(CHANGES).map(([kind, colour]) => {
        const cell = h("div", {}, h("b", {}, String(now.result.counts[kind])), kind);
        cell.style.borderLeftColor = colour;
        return cell;
      }),
    );
    const rows = list.map((entry) =>
      h(
        "tr",
        { "aria-selected": String(entry === preview), onclick: () => choose(entry) },
        h("td", {}, entry.name),
        h("td", {}, String(entry.result.found)),
        Object.keys(CHANGES).map((kind) => h("td", {}, String(entry.result.counts[kind]))),
        h("td.text", {}, entry.changes.join(", ") || "as now"),
        h(
          "td",
          {},
          h(
            "button.bare",
            {
              title: "Take over these parameters",
              onclick: (event) => {
                event.stopPropagation();
                reuse(entry);
              },
            },
            "use",
          ),
        ),
      ),
    );
    fill(
      box,
      counts,
      h(
        "div.table",
        {},
        h(
          "table",
          {},
          h(
            "thead",
            {},
            h(
              "tr",
              {},
              ["", "found", ...Object.keys(CHANGES), "parameters", ""].map((name) =>
                h("th", {}, name),
              ),
            ),
          ),
          h("tbody", {}, rows),
        ),
      ),
      h(
        "div.row",
        {},
        h(
          "span.soft",
          {},
          "Against the present result. A crop has its own noise, so that a few events differ in any case.",
        ),
        preview
          ? h(
              "button",
              {
                onclick: () => store.set({ preview: null }),
                title: "Show the present result (Esc)",
              },
              "Hide preview",
            )
          : null,
      ),
    );
  }

  store.on(["preview"], show);
  return { box, add, list };
}
