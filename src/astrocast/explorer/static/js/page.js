// State of the page, and the actions that several of its parts use.
import { getJSON } from "./api.js";
import { colourScale } from "./colours.js";
import { FrameSource } from "./frames.js";
import { complain } from "./messages.js";
import { OutlineSource } from "./outlines.js";
import { createStore, remember } from "./store.js";
import { suggestContrast } from "./views.js";

const REMEMBERED = [
  "layers",
  "contrast",
  "map",
  "gamma",
  "outlines",
  "colourBy",
  "frame",
  "speed",
  "sort",
  "traceLayer",
  "radius",
  "tab",
];

export class Page {
  constructor(project, info, start) {
    this.project = project;
    this.base = `/api/projects/${project}`;
    this.info = info;
    this.start = start;
    this.eventsVersion = 0;
    this.selections = 0; // number of selections by the user
    this.place = [];
    this.rows = new Map();
    const first = info.layers.find(({ kind }) => kind === "mc") || info.layers[0];
    const signal = info.layers.find(({ kind }) => kind === "dff") || first;
    this.store = createStore({
      frame: 0,
      playing: false,
      speed: 1,
      layers: [first.key],
      contrast: {},
      map: "grey",
      gamma: 1,
      projection: "none",
      outlines: "active",
      colourBy: "z0",
      selected: null,
      chosen: new Set(),
      pixel: null,
      place: null,
      radius: 1,
      events: { events: [], columns: [] },
      sort: { name: null, down: false },
      filters: [],
      window: [0, info.frames - 1],
      traceLayer: signal.key,
      registration: null,
      theme: document.documentElement.dataset.theme,
      tab: "events",
      preview: null,
      regions: null,
      showRegions: true,
    });
    remember(
      this.store,
      `astrocast:${info.title}:${info.frames}x${info.rows}x${info.columns}`,
      REMEMBERED,
    );
    const { layers, frame, traceLayer } = this.store.get();
    const known = layers.filter((key) => this.layer(key));
    this.store.set({
      layers: known.length ? known : [first.key],
      frame: Math.min(frame, info.frames - 1),
      traceLayer: this.layer(traceLayer) ? traceLayer : signal.key,
    });
    this.frames = new FrameSource(this.base, info);
    this.outlines = new OutlineSource(this.base, () => this.views?.redraw());
    this.store.on(["events", "colourBy"], () => this.recolour());
  }

  layer(key) {
    return this.info.layers.find((layer) => layer.key === key);
  }

  async contrastOf(layer) {
    const known = this.store.get().contrast[layer];
    if (known) return known;
    this.suggested ||= new Map();
    if (!this.suggested.has(layer)) {
      const request = suggestContrast(this, layer).then(({ low, high }) => ({ low, high }));
      request.catch(() => this.suggested.delete(layer)); // the next call requests it again
      this.suggested.set(layer, request);
    }
    return this.suggested.get(layer);
  }

  // ---- events

  /** Load the event table; of several calls at a time the latest answer counts. */
  loadEvents() {
    const request = getJSON(`${this.base}/events`).then((found) => {
      if (request !== this.loading) return this.loading; // a later request is under way
      return this.showEvents(found);
    });
    this.loading = request;
    return request;
  }

  showEvents(found) {
    this.eventsVersion += 1;
    this.rows = new Map(found.events.map((event, row) => [event, row]));
    this.outlines.forget();
    const { selected, chosen } = this.store.get();
    this.store.set({
      events: found,
      selected: this.rows.has(selected) ? selected : null,
      chosen: new Set([...chosen].filter((event) => this.rows.has(event))),
    });
  }

  /** Load what another tab may have changed. */
  async refresh() {
    const before = this.store.get().regions;
    const [events, regions] = await Promise.all([
      getJSON(`${this.base}/events`),
      getJSON(`${this.base}/regions`),
    ]);
    const { regions: now } = this.store.get();
    // a region that was drawn since the request is not in this answer
    if (now === before && JSON.stringify(regions) !== JSON.stringify(now)) {
      this.store.set({ regions });
    }
    if (JSON.stringify(events) !== JSON.stringify(this.store.get().events)) await this.loadEvents();
  }

  async loadRegistration() {
    const found = await getJSON(`${this.base}/registration`);
    const larger = (most, shift) => Math.max(most, Math.abs(shift || 0));
    found.largest = found.columns.reduce(larger, found.rows.reduce(larger, 1));
    found.agreement = found.quality.correlation_after || null;
    const marked = new Set(found.marks.map(({ frame }) => frame));
    const reason = "the registration of this frame is unreliable";
    (found.quality.bad_frame || []).forEach((bad, frame) => {
      if (!bad || marked.has(frame)) return;
      found.marks.push({ frame, kind: "bad_frame", reason, severity: 1 });
    });
    this.registration = found;
    this.store.set({ registration: found });
  }

  column(name) {
    return this.store.get().events.columns.find((column) => column.name === name);
  }

  value(event, name) {
    return this.column(name)?.values[this.rows.get(event)];
  }

  rowOf(event) {
    return this.rows.get(event);
  }

  statusOf(event) {
    return this.value(event, "curation") || "";
  }

  recolour() {
    this.scale = colourScale(this.column(this.store.get().colourBy));
  }

  colourOf(event) {
    if (!this.scale) this.recolour();
    return this.scale.colour(this.rows.get(event));
  }

  /** Rows of the table that pass all filters. */
  shownRows() {
    const { events, filters } = this.store.get();
    const tests = filters
      .map((filter) => ({ filter, values: this.column(filter.name)?.values }))
      .filter(({ values }) => values);
    const rows = [];
    for (let row = 0; row < events.events.length; row += 1) {
      if (tests.every(({ filter, values }) => passes(filter, values[row]))) rows.push(row);
    }
    return rows;
  }

  isShown(event) {
    const { filters, events } = this.store.get();
    if (!filters.length) return true;
    if (this.passing?.filters !== filters || this.passing?.events !== events) {
      this.passing = {
        filters,
        events,
        set: new Set(this.shownRows().map((row) => events.events[row])),
      };
    }
    return this.passing.set.has(event);
  }

  rasterRows() {
    const [z0, z1] = [this.column("z0"), this.column("z1")];
    if (!z0 || !z1) return [];
    const { events } = this.store.get();
    return this.shownRows()
      .map((row) => ({ event: events.events[row], z0: z0.values[row], z1: z1.values[row] }))
      .sort((a, b) => a.z0 - b.z0 || a.event - b.event);
  }

  placeEvents() {
    return this.place
      .filter((event) => this.rows.has(event))
      .map((event) => ({ event, z0: this.value(event, "z0"), z1: this.value(event, "z1") }));
  }

  selectEvent(event, { add = false, go = false } = {}) {
    const { chosen, selected, frame } = this.store.get();
    this.selections += 1;
    const next = new Set(add ? chosen : []);
    if (add && selected) next.add(selected);
    if (add && next.has(event) && event !== selected) next.delete(event);
    else if (event) next.add(event);
    this.store.set({ selected: event, chosen: next });
    const [z0, z1] = [this.value(event, "z0"), this.value(event, "z1")];
    if (go && event && z0 !== undefined && (frame < z0 || frame >= z1)) {
      this.player.go(this.peakFrame(event, z0, z1));
    }
  }

  selectNothing() {
    this.selections += 1;
    this.store.set({ selected: null, chosen: new Set() });
  }

  peakFrame(event, z0, z1) {
    const seconds = this.value(event, "peak_s");
    const rate = this.info.frame_rate;
    const peak = seconds != null && rate ? seconds * rate : this.value(event, "peak_frames");
    const isInside = peak != null && peak >= z0 && peak < z1;
    return isInside ? Math.round(peak) : Math.floor((z0 + z1 - 1) / 2);
  }

  async clickPixel(pixel, add) {
    const { frame, traceLayer, radius } = this.store.get();
    this.selections += 1;
    const { selections } = this;
    this.store.set({ pixel });
    try {
      const values = { layer: traceLayer, ...pixel, radius };
      const { events } = await getJSON(`${this.base}/pixel`, values);
      if (selections !== this.selections) return; // the user selected something else
      const shown = events.filter((event) => this.rows.has(event) && this.isShown(event));
      const distance = (event) =>
        Math.max(this.value(event, "z0") - frame, frame - this.value(event, "z1") + 1, 0);
      const nearest = shown.sort((a, b) => distance(a) - distance(b))[0];
      if (nearest !== undefined) this.selectEvent(nearest, { add });
      else if (!add) this.selectNothing();
    } catch (error) {
      if (selections === this.selections) complain(error);
    }
  }

  nextEvent(by) {
    const list = this.rasterRows().map(({ event }) => event);
    if (!list.length) return;
    const at = list.indexOf(this.store.get().selected);
    const next = at < 0 ? (by > 0 ? 0 : list.length - 1) : (at + by + list.length) % list.length;
    this.selectEvent(list[next], { go: true });
  }

  nextHere(by) {
    const at = this.place.indexOf(this.store.get().selected);
    const next = this.place[at + by];
    if (at >= 0 && next !== undefined) this.selectEvent(next, { go: true });
  }

  cycleOutlines() {
    const order = ["active", "footprints", "off"];
    this.store.set({ outlines: order[(order.indexOf(this.store.get().outlines) + 1) % 3] });
  }

  zoomTime(factor, around) {
    const [first, last] = this.store.get().window;
    const wide = Math.min(Math.max((last - first) * factor, 8), this.info.frames - 1);
    const share = (around - first) / Math.max(1, last - first);
    const begin = Math.min(Math.max(around - share * wide, 0), this.info.frames - 1 - wide);
    this.store.set({ window: [begin, begin + wide] });
  }

  /** Send pointer events of the pictures to a tool; null: they select again. */
  useTool(tool) {
    this.views.tool = tool;
    this.views.pressed = false;
    this.views.redraw();
  }

  escape() {
    if (this.views.tool) this.views.tool.cancel();
    else if (this.store.get().preview) this.store.set({ preview: null });
    else {
      this.selectNothing();
      this.store.set({ pixel: null });
    }
  }
}

/** Return whether a value is in the range of a filter, or contains its text. */
function passes({ low, high, text }, value) {
  if (text !== undefined) return `${value ?? ""}`.toLowerCase().includes(text.toLowerCase());
  return value !== null && (low === null || value >= low) && (high === null || value <= high);
}
