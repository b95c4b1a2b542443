// Frames on their way to the screen: a cache, and reading ahead while playing.
import { getBytes } from "./api.js";

const MOST_BYTES = 192 << 20;
const AHEAD = 24;

/** Frames of all layers, as grey values, each asked for once. */
export class FrameSource {
  constructor(base, info) {
    this.base = base;
    this.info = info;
    this.size = info.rows * info.columns;
    this.cache = new Map();
    this.waiting = new Map();
    this.batch = Math.max(1, Math.min(16, Math.floor((2 << 20) / this.size)));
  }

  key(layer, contrast, frame) {
    return `${layer}|${contrast.low}|${contrast.high}|${frame}`;
  }

  has(layer, contrast, frame) {
    return this.cache.has(this.key(layer, contrast, frame));
  }

  /** One frame, uint8; resolves at once where it is at hand. */
  async frame(layer, contrast, frame) {
    const key = this.key(layer, contrast, frame);
    const known = this.cache.get(key);
    if (known) {
      this.cache.delete(key); // used last: removed last
      this.cache.set(key, known);
      return known;
    }
    await (this.waiting.get(key) || this.load(layer, contrast, frame, 1));
    return this.cache.get(key);
  }

  /** Ask for the frames that playing needs next; at most two requests at a time. */
  readAhead(layer, contrast, frame) {
    if (this.waiting.size > 2 * this.batch) return;
    for (let i = 1; i <= AHEAD; i += 1) {
      const next = (frame + i) % this.info.frames;
      const key = this.key(layer, contrast, next);
      if (!this.cache.has(key) && !this.waiting.has(key)) {
        this.load(layer, contrast, next, Math.min(this.batch, this.info.frames - next)).catch(() => {});
        return;
      }
    }
  }

  load(layer, contrast, start, count) {
    const request = getBytes(`${this.base}/frames`, { layer, start, count, low: contrast.low, high: contrast.high })
      .then((bytes) => {
        for (let i = 0; i * this.size < bytes.length; i += 1) {
          this.cache.set(this.key(layer, contrast, start + i), bytes.subarray(i * this.size, (i + 1) * this.size));
        }
        this.trim();
      })
      .finally(() => {
        for (let i = 0; i < count; i += 1) this.waiting.delete(this.key(layer, contrast, start + i));
      });
    for (let i = 0; i < count; i += 1) this.waiting.set(this.key(layer, contrast, start + i), request);
    return request;
  }

  trim() {
    for (const key of this.cache.keys()) {
      if (this.cache.size * this.size <= MOST_BYTES) return;
      this.cache.delete(key);
    }
  }
}
