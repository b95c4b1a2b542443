// Outlines of events: in each frame, and of whole footprints.
import { getJSON } from "./api.js";

const BATCH = 16; // frames of one request

function unpack({ events, offsets, points }) {
  const bytes = Uint8Array.from(atob(points), (sign) => sign.charCodeAt(0));
  const values = new Int16Array(bytes.buffer);
  return events.map((event, i) => {
    const own = values.subarray(4 * offsets[i], 4 * offsets[i + 1]);
    return { event, path: makePath(own), values: own };
  });
}

function makePath(values) {
  const path = new Path2D();
  for (let i = 0; i < values.length; i += 4) {
    path.moveTo(values[i + 1], values[i]);
    path.lineTo(values[i + 3], values[i + 2]);
  }
  return path;
}

/** Outlines of the events of a project; null until they are loaded. */
export class OutlineSource {
  constructor(base, onload) {
    this.base = base;
    this.onload = onload;
    this.version = 0;
    this.forget();
  }

  /** The events changed: load all outlines again. */
  forget() {
    this.version += 1;
    this.frames = new Map();
    this.requests = new Map(); // first frame, or "footprints" -> request under way
    this.all = null;
  }

  /** Outlines of the events that are active in a frame. */
  frame(t) {
    if (!this.frames.has(t)) this.loadFrame(t).catch(() => {}); // the next drawing tries again
    return this.frames.get(t) || null;
  }

  /** Outlines of all footprints. */
  footprints() {
    if (!this.all) this.loadFootprints().catch(() => {});
    return this.all || [];
  }

  async loadFrame(t) {
    if (this.frames.has(t)) return;
    const start = t - (t % BATCH);
    await this.load(start, "outlines", { start, count: BATCH }, ({ frames }) => {
      frames.forEach((frame, i) => this.frames.set(start + i, unpack(frame)));
    });
  }

  async loadFootprints() {
    if (this.all) return;
    await this.load("footprints", "footprints", {}, (found) => {
      this.all = unpack(found);
    });
  }

  /** Request outlines once; an answer about events that changed since is not used. */
  load(key, path, values, take) {
    const { version, requests } = this;
    if (!requests.has(key)) {
      const request = getJSON(`${this.base}/${path}`, values).then((found) => {
        if (version !== this.version) return;
        take(found);
        this.onload();
      });
      requests.set(
        key,
        request.finally(() => requests.delete(key)),
      );
    }
    return requests.get(key);
  }
}
