// Outlines of events: in each frame, and of whole footprints.
import { getJSON } from "./api.js";

function unpack({ events, offsets, points }) {
  const bytes = Uint8Array.from(atob(points), (sign) => sign.charCodeAt(0));
  const values = new Int16Array(bytes.buffer);
  return events.map((event, i) => ({
    event,
    path: makePath(values.subarray(4 * offsets[i], 4 * offsets[i + 1])),
    values: values.subarray(4 * offsets[i], 4 * offsets[i + 1]),
  }));
}

function makePath(values) {
  const path = new Path2D();
  for (let i = 0; i < values.length; i += 4) {
    path.moveTo(values[i + 1], values[i]);
    path.lineTo(values[i + 3], values[i + 2]);
  }
  return path;
}

/** Outlines of a project's events; `frame` gives null while they are on their way. */
export class OutlineSource {
  constructor(base, onload) {
    this.base = base;
    this.onload = onload;
    this.forget();
  }

  /** Events changed: everything is asked for again. */
  forget() {
    this.frames = new Map();
    this.waiting = new Set();
    this.version = (this.version || 0) + 1;
    this.all = null;
    this.asked = false;
  }

  frame(t) {
    const known = this.frames.get(t);
    if (!known) this.load(t - (t % 16));
    return known || null;
  }

  load(start) {
    if (this.waiting.has(start)) return;
    this.waiting.add(start);
    const version = this.version;
    getJSON(`${this.base}/outlines`, { start, count: 16 })
      .then((found) => {
        if (version !== this.version) return;
        found.frames.forEach((frame, i) => this.frames.set(start + i, unpack(frame)));
        this.onload();
      })
      .catch(() => {})
      .finally(() => this.waiting.delete(start));
  }

  footprints() {
    if (!this.asked) {
      this.asked = true;
      const version = this.version;
      getJSON(`${this.base}/footprints`)
        .then((found) => {
          if (version !== this.version) return;
          this.all = unpack(found);
          this.onload();
        })
        .catch(() => {});
    }
    return this.all || [];
  }
}

export { unpack as unpackOutlines };
