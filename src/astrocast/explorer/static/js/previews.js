// Results of several previews: counts in a list, outlines over the movie.
import { CHANGES } from "./colours.js";
import { button, fill, h, row, soft } from "./dom.js";

const KINDS = Object.keys(CHANGES);
const MOST = 6;
const NOTE =
  "Compared with the present result. The noise is measured in the crop, so a few events can differ.";
const NO_RESULT = "All events are new, because there is no result to compare with.";

/** Return a function that gives the outlines of a preview in a frame. */
function outlinesOf(result) {
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

/** Make a list of previews; the selected one is drawn. `reuse(entry)` uses its settings. */
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
      outlinesAt: outlinesOf(result),
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

  function showCounts({ result }) {
    const cells = Object.entries(CHANGES).map(([kind, colour]) => {
      const cell = h("div", {}, h("b", {}, String(result.counts[kind])), kind);
      cell.style.borderLeftColor = colour;
      return cell;
    });
    return h("div.counts", {}, cells);
  }

  function showEntry(entry) {
    const { name, result, changes } = entry;
    const use = (event) => {
      event.stopPropagation(); // a click on the row selects the preview
      reuse(entry);
    };
    return h(
      "tr",
      {
        "aria-selected": String(entry === store.get().preview),
        onclick: () => choose(entry),
      },
      h("td", {}, name),
      h("td", {}, String(result.found)),
      KINDS.map((kind) => h("td", {}, String(result.counts[kind]))),
      h("td.text", {}, changes.join(", ") || "as now"),
      h("td", {}, button("use", use, { kind: "bare", title: "Use these parameters" })),
    );
  }

  function show() {
    const { preview } = store.get();
    if (!list.length) return;
    const titles = ["", "found", ...KINDS, "parameters", ""].map((name) => h("th", {}, name));
    const hide = button("Hide preview", () => store.set({ preview: null }), {
      title: "Show the present result (Esc)",
    });
    fill(
      box,
      showCounts(preview || list[0]),
      h(
        "div.table",
        {},
        h("table", {}, h("thead", {}, h("tr", {}, titles)), h("tbody", {}, list.map(showEntry))),
      ),
      row(soft(page.info.has_events ? NOTE : NO_RESULT), preview ? hide : null),
    );
  }

  store.on(["preview"], show);
  return { box, add, list };
}
