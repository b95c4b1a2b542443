// The event table: only the visible rows are in the page.
import { fill, h, rem } from "./dom.js";
import { formatNumber } from "./format.js";

/** Columns that are shown first. A name that ends in _ is followed by a unit (onset_s). */
const FIRST = [
  "curation",
  "kind",
  "confidence",
  "region",
  "peak_dff",
  "snr",
  "onset_",
  "duration_",
  "rise_",
  "decay_",
  "half_width_",
  "auc",
  "area_",
  "speed_",
  "direction_deg",
  "x_",
  "y_",
  "z0",
  "z1",
  "v_length",
  "v_area",
];

/** Return the place of a column among those that are shown first; -1 for others. */
export function rankOf(name) {
  const parts = (text) => text.split("_").length;
  const isSame = (first) => first.endsWith("_") && parts(name) === parts(first);
  return FIRST.findIndex((first) => name === first || (isSame(first) && name.startsWith(first)));
}

/** Return columns in the order of the table. */
export function orderColumns(columns) {
  const rank = (name) => (rankOf(name) < 0 ? FIRST.length : rankOf(name));
  return columns
    .map((column, i) => ({ column, i }))
    .sort((a, b) => rank(a.column.name) - rank(b.column.name) || a.i - b.i)
    .map(({ column }) => column);
}

export function createTable(page) {
  const { store } = page;
  const head = h("thead");
  const body = h("tbody");
  const box = h(
    "div.table",
    { tabIndex: 0, role: "grid", "aria-label": "Event table" },
    h("table", {}, head, body),
  );
  let order = [];
  let columns = [];

  function arrange() {
    const { events, sort } = store.get();
    columns = orderColumns(events.columns);
    const column = events.columns.find(({ name }) => name === sort.name);
    order = page.shownRows();
    if (column) {
      const sign = sort.down ? -1 : 1;
      const key = (row) => column.values[row];
      order.sort((a, b) => {
        const [x, y] = [key(a), key(b)];
        if (x === null || y === null) return (x === null) - (y === null);
        return sign * (x < y ? -1 : x > y ? 1 : 0) || a - b;
      });
    } else if (sort.down) order.reverse();
    const event = { name: "event", unit: "", description: "Number of the event." };
    fill(head, h("tr", {}, header(event), columns.map(header)));
    showRows();
  }

  function header({ name: title, unit, description }) {
    const { sort } = store.get();
    const name = title === "event" ? null : title;
    const isSorted = sort.name === name;
    const mark = sort.down ? " ▼" : " ▲";
    const direction = sort.down ? "descending" : "ascending";
    // the first click on a column shows its largest values
    const next = { name, down: isSorted ? !sort.down : name !== null };
    return h(
      "th",
      { "aria-sort": isSorted ? direction : "none", title: description },
      h(
        "button",
        { onclick: () => store.set({ sort: next }) },
        isSorted ? title + mark : title,
        h("small", {}, unit || "\u00a0"),
      ),
    );
  }

  const rowHeight = () => 1.6 * rem() + 1;

  function emptyRow(count) {
    const cell = h("td", { colSpan: columns.length + 1 });
    cell.style.height = `${count * rowHeight()}px`;
    cell.style.border = "0";
    return h("tr", { "aria-hidden": "true" }, cell);
  }

  function showRow(row) {
    const { events, selected, chosen } = store.get();
    const event = events.events[row];
    const status = page.statusOf(event);
    const isSelected = event === selected || chosen.has(event);
    const select = ({ shiftKey, ctrlKey, metaKey }) =>
      page.selectEvent(event, { add: shiftKey || ctrlKey || metaKey, go: true });
    return h(
      status ? `tr.${status}` : "tr",
      { "data-event": event, "aria-selected": String(isSelected), onclick: select },
      h("td", {}, String(event)),
      columns.map(({ values }) => h("td", {}, formatNumber(values[row]))),
    );
  }

  function showRows() {
    const first = Math.max(0, Math.floor(box.scrollTop / rowHeight()) - 8);
    const count = Math.ceil(box.clientHeight / rowHeight()) + 18;
    const last = Math.min(order.length, first + count);
    const rows = order.slice(first, last).map(showRow);
    const after = order.length - last;
    fill(body, first ? emptyRow(first) : null, rows, after > 0 ? emptyRow(after) : null);
  }

  const eventAt = (i) => store.get().events.events[order[i]];
  const selectedPlace = () => {
    const { events, selected } = store.get();
    return order.findIndex((row) => events.events[row] === selected);
  };

  function scrollToSelected() {
    const top = selectedPlace() * rowHeight();
    const isAbove = top < box.scrollTop;
    const isBelow = top + 3 * rowHeight() > box.scrollTop + box.clientHeight;
    if (top >= 0 && (isAbove || isBelow)) box.scrollTop = Math.max(0, top - box.clientHeight / 3);
    showRows();
  }

  box.addEventListener("scroll", () => requestAnimationFrame(showRows));
  box.addEventListener("keydown", (event) => {
    const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!by || !order.length) return;
    event.preventDefault();
    event.stopPropagation();
    const next = Math.min(Math.max(selectedPlace() + by, 0), order.length - 1);
    page.selectEvent(eventAt(next), { go: true, add: event.shiftKey });
  });
  new ResizeObserver(showRows).observe(box);
  store.on(["events", "sort", "filters"], arrange);
  store.on(["selected", "chosen"], scrollToSelected);
  return { box, arrange, order: () => order.map((row) => store.get().events.events[row]) };
}
