// The panel of events: the selected one, decisions, filters, and the table.
import { fill, h } from "./dom.js";
import { createDetails } from "./details.js";
import { createTable } from "./table.js";

export function createEventsPanel(page, decisions) {
  const { store } = page;
  const details = createDetails(page);
  const table = createTable(page);
  const filters = h("div.row");
  const column = h("select", { "aria-label": "Column to filter by", title: "Filter by a column" });
  const low = h("input", { type: "text", placeholder: "least", "aria-label": "Least, or text" });
  const high = h("input", { type: "text", placeholder: "most", "aria-label": "Most" });
  low.style.width = high.style.width = "3.9rem";
  const count = h("span.soft");
  page.table = table;

  function add() {
    const found = page.column(column.value);
    if (!found) return;
    const number = (text) => (text.trim() === "" ? null : Number(text));
    const filter = found.numeric
      ? { name: found.name, low: number(low.value), high: number(high.value) }
      : { name: found.name, text: low.value };
    if (Number.isNaN(filter.low) || Number.isNaN(filter.high)) {
      low.classList.add("wrong");
      return;
    }
    low.classList.remove("wrong");
    low.value = high.value = "";
    store.set({
      filters: [...store.get().filters.filter(({ name }) => name !== filter.name), filter],
    });
  }

  function show() {
    const { events, filters: now } = store.get();
    const chosen = column.value;
    fill(
      column,
      events.columns.map(({ name }) => h("option", {}, name)),
    );
    column.value = page.column(chosen) ? chosen : "v_area";
    fill(
      filters,
      now.map((filter) =>
        h(
          "button.chip",
          {
            title: "Remove this filter",
            onclick: () => store.set({ filters: now.filter((other) => other !== filter) }),
          },
          filter.text !== undefined
            ? `${filter.name}: ${filter.text || "none"}`
            : `${filter.low ?? ""} ≤ ${filter.name} ≤ ${filter.high ?? ""}`,
          " ×",
        ),
      ),
    );
    const shown = page.shownRows().length;
    count.textContent =
      shown === events.events.length
        ? `${shown} events`
        : `${shown} of ${events.events.length} events`;
  }

  const form = h(
    "form.row",
    {
      onsubmit: (event) => {
        event.preventDefault();
        add();
      },
    },
    column,
    low,
    h("span.soft", {}, "to"),
    high,
    h("button", {}, "Add"),
    h("span.grow"),
    count,
  );
  column.style.maxWidth = "7.6rem";
  store.on(["events", "filters"], show);
  const box = h("div.scroll");
  box.style.flex = "0 1 auto";
  box.style.maxHeight = "55%";
  box.append(details.box, decisions ?? "");
  if (!page.info.has_events) {
    return h(
      "div.block",
      {},
      h("h2", {}, "No events yet"),
      h("div.soft", {}, "Try the detection on a part of the recording, then run it on everything."),
      h(
        "div.row",
        {},
        h("button.main", { onclick: () => store.set({ tab: "tune" }) }, "Tune the detection"),
      ),
    );
  }
  return [box, h("div.block", {}, form, filters), table.box];
}
