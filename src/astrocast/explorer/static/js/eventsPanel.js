// The panel of events: the selected event, decisions, filters, and the table.
import { block, button, fill, h, note, row, soft, spacer } from "./dom.js";
import { createDetails } from "./details.js";
import { createTable } from "./table.js";

export function createEventsPanel(page, decisions) {
  const { store } = page;
  const details = createDetails(page);
  const table = createTable(page);
  page.table = table;
  if (!page.info.has_events) {
    const tune = button("Tune the detection", () => store.set({ tab: "tune" }), { kind: "main" });
    const text = "Try the detection on a part of the recording, then run it on all of it.";
    return block("No events yet", note(text), row(tune));
  }

  const filters = h("div.row");
  const column = h("select", { "aria-label": "Column to filter by", title: "Filter by a column" });
  const low = h("input", {
    type: "text",
    placeholder: "from",
    title: "Lowest value, or a text that the column contains",
    "aria-label": "Lowest value, or text",
  });
  const high = h("input", {
    type: "text",
    placeholder: "to",
    title: "Highest value",
    "aria-label": "Highest value",
  });
  low.style.width = high.style.width = "3.9rem";
  column.style.maxWidth = "7.6rem";
  const count = h("span.soft");

  function add(submission) {
    submission.preventDefault();
    const found = page.column(column.value);
    if (!found) return;
    const { name, numeric } = found;
    const number = (text) => (text.trim() === "" ? null : Number(text));
    const range = { name, low: number(low.value), high: number(high.value) };
    const filter = numeric ? range : { name, text: low.value };
    low.classList.toggle("wrong", Number.isNaN(filter.low));
    high.classList.toggle("wrong", Number.isNaN(filter.high));
    if (Number.isNaN(filter.low) || Number.isNaN(filter.high)) return;
    low.value = high.value = "";
    const others = store.get().filters.filter((other) => other.name !== name);
    store.set({ filters: [...others, filter] });
  }

  function describeFilter({ name, low: least, high: most, text }) {
    if (text !== undefined) return `${name}: ${text || "none"} ×`;
    return `${least ?? ""} ≤ ${name} ≤ ${most ?? ""} ×`;
  }

  function show() {
    const { events, filters: active } = store.get();
    const chosen = column.value;
    fill(
      column,
      events.columns.map(({ name }) => h("option", {}, name)),
    );
    column.value = page.column(chosen) ? chosen : "v_area";
    const chips = active.map((filter) => {
      const remove = () => store.set({ filters: active.filter((other) => other !== filter) });
      return button(describeFilter(filter), remove, { kind: "chip", title: "Remove this filter" });
    });
    fill(filters, chips);
    const [shown, all] = [page.shownRows().length, events.events.length];
    count.textContent = shown === all ? `${all} events` : `${shown} of ${all} events`;
  }

  const form = h(
    "form.row",
    { onsubmit: add },
    column,
    low,
    soft("to"),
    high,
    h("button", { title: "Add this filter" }, "Add"),
    spacer(),
    count,
  );
  store.on(["events", "filters"], show);
  const above = h("div.scroll", {}, details.box, decisions);
  above.style.flex = "0 1 auto";
  above.style.maxHeight = "55%";
  return [above, block(null, form, filters), table.box];
}
