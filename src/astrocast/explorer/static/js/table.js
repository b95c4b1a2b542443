// The event table: only the rows that are seen are in the page.
import { fill, h, rem } from "./dom.js";
import { formatNumber } from "./format.js";

/** What is asked for most, in this order; names end in their unit (onset_s, onset_frames). */
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

/** Where a column comes among those that are asked for most; -1 for the others. */
export function rankOf(name) {
  const found = FIRST.findIndex(
    (first) =>
      name === first ||
      (first.endsWith("_") &&
        name.startsWith(first) &&
        name.split("_").length === first.split("_").length),
  );
  return found;
}

/** Column names, those that are asked for most first. */
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
    fill(
      head,
      h(
        "tr",
        {},
        header({ name: "event", unit: "", description: "Number of the event." }),
        columns.map(header),
      ),
    );
    window_();
  }

  function header(column) {
    const { sort } = store.get();
    const name = column.name === "event" ? null : column.name;
    const mark = sort.name === name ? (sort.down ? " ▼" : " ▲") : "";
    const order_ = sort.name === name ? (sort.down ? "descending" : "ascending") : "none";
    return h(
      "th",
      { "aria-sort": order_, title: column.description },
      h(
        "button",
        {
          onclick: () =>
            store.set({ sort: { name, down: sort.name === name ? !sort.down : name !== null } }),
        },
        column.name + mark,
        h("small", {}, column.unit || "\u00a0"),
      ),
    );
  }

  function window_() {
    const { events, selected, chosen } = store.get();
    const tall = 1.6 * rem() + 1;
    const first = Math.max(0, Math.floor(box.scrollTop / tall) - 8);
    const last = Math.min(order.length, first + Math.ceil(box.clientHeight / tall) + 18);
    const space = (rows) => {
      const cell = h("td", { colSpan: columns.length + 1 });
      cell.style.height = `${rows * tall}px`;
      cell.style.border = "0";
      return h("tr", { "aria-hidden": "true" }, cell);
    };
    const rows = [];
    for (let i = first; i < last; i += 1) {
      const row = order[i];
      const event = events.events[row];
      const status = page.statusOf(event);
      rows.push(
        h(
          status ? `tr.${status}` : "tr",
          {
            "data-event": event,
            "aria-selected": String(event === selected || chosen.has(event)),
            onclick: (click) =>
              page.selectEvent(event, {
                add: click.shiftKey || click.ctrlKey || click.metaKey,
                go: true,
              }),
          },
          h("td", {}, String(event)),
          columns.map((column) => h("td", {}, formatNumber(column.values[row]))),
        ),
      );
    }
    fill(
      body,
      first ? space(first) : null,
      rows,
      last < order.length ? space(order.length - last) : null,
    );
  }

  box.addEventListener("scroll", () => requestAnimationFrame(window_));
  box.addEventListener("keydown", (event) => {
    const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!by) return;
    event.preventDefault();
    event.stopPropagation();
    const at = order.findIndex((row) => store.get().events.events[row] === store.get().selected);
    const next = order[Math.min(Math.max(at + by, 0), order.length - 1)];
    if (next !== undefined)
      page.selectEvent(store.get().events.events[next], { go: true, add: event.shiftKey });
  });
  new ResizeObserver(window_).observe(box);
  store.on(["events", "sort", "filters"], arrange);
  store.on(["selected", "chosen"], () => {
    const at = order.findIndex((row) => store.get().events.events[row] === store.get().selected);
    const tall = 1.6 * rem() + 1;
    if (
      at >= 0 &&
      (at * tall < box.scrollTop || (at + 3) * tall > box.scrollTop + box.clientHeight)
    )
      box.scrollTop = Math.max(0, at * tall - box.clientHeight / 3);
    window_();
  });
  return { box, arrange, order: () => order.map((row) => store.get().events.events[row]) };
}
