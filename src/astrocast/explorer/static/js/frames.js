// Frames for the screen: a cache, and reading ahead during playback.
import { getBytes } from "./api.js";

const MOST_BYTES = 192 << 20;
const AHEAD = 24;

/** Frames of all layers as grey values; each is requested once. */
export class FrameSource {
  constructor(base, info) {
    this.base = base;
    this.info = info;
    this.cache = new Map();
    this.waiting = new Map();
    this.bytes = 0;
  }

  /** Return the bytes of a frame in which each value is the mean of step x step pixels. */
  size(step) {
    return Math.ceil(this.info.rows / step) * Math.ceil(this.info.columns / step);
  }

  /** Return the number of frames of one request. */
  batch(step) {
    return Math.max(1, Math.min(16, Math.floor((2 << 20) / this.size(step))));
  }

  key(layer, contrast, frame, step) {
    return `${layer}|${contrast.low}|${contrast.high}|${frame}|${step}`;
  }

  /** Return one frame, uint8; without a request if it is in the cache. */
  async frame(layer, contrast, frame, step) {
    const key = this.key(layer, contrast, frame, step);
    const known = this.cache.get(key);
    if (known) {
      this.cache.delete(key); // most recently used: removed last
      this.cache.set(key, known);
      return known;
    }
    await (this.waiting.get(key) || this.load(layer, contrast, frame, 1, step));
    return this.cache.get(key);
  }

  /** Request the frames that are needed next; at most two requests at a time. */
  readAhead(layer, contrast, frame, step, ahead = AHEAD) {
    const batch = this.batch(step);
    if (this.waiting.size > 2 * batch) return;
    for (let i = 1; i <= ahead; i += 1) {
      const next = (frame + i) % this.info.frames;
      const key = this.key(layer, contrast, next, step);
      if (!this.cache.has(key) && !this.waiting.has(key)) {
        this.load(
          layer,
          contrast,
          next,
          Math.min(batch, ahead, this.info.frames - next),
          step,
        ).catch(() => {});
        return;
      }
    }
  }

  load(layer, contrast, start, count, step) {
    const size = this.size(step);
    const request = getBytes(`${this.base}/frames`, {
      layer,
      start,
      count,
      step,
      low: contrast.low,
      high: contrast.high,
    })
      .then((bytes) => {
        for (let i = 0; i * size < bytes.length; i += 1) {
          const key = this.key(layer, contrast, start + i, step);
          if (!this.cache.has(key)) this.bytes += size;
          this.cache.set(key, bytes.subarray(i * size, (i + 1) * size));
        }
        this.trim();
      })
      .finally(() => {
        for (let i = 0; i < count; i += 1)
          this.waiting.delete(this.key(layer, contrast, start + i, step));
      });
    for (let i = 0; i < count; i += 1)
      this.waiting.set(this.key(layer, contrast, start + i, step), request);
    return request;
  }

  trim() {
    for (const [key, values] of this.cache) {
      if (this.bytes <= MOST_BYTES) return;
      this.bytes -= values.length;
      this.cache.delete(key);
    }
  }
}
