// Numbers and times as text.

export function formatNumber(value) {
  if (value === null || value === undefined) return "–";
  if (typeof value !== "number") return String(value);
  if (Number.isInteger(value)) return String(value);
  const size = Math.abs(value);
  if (size >= 1000) return value.toFixed(0);
  if (size >= 100) return value.toFixed(1);
  if (size >= 0.01) return String(Number(value.toPrecision(3)));
  return value === 0 ? "0" : value.toExponential(1);
}

/** Return the time of a frame as text, "0:12.4"; empty if the frame rate is not known. */
export function formatTime(frame, rate) {
  if (!rate) return "";
  const seconds = frame / rate;
  const minutes = Math.floor(seconds / 60);
  return `${minutes}:${(seconds - 60 * minutes).toFixed(1).padStart(4, "0")}`;
}

/** Return labels for frames at equal distances: seconds if the frame rate is known. */
export function formatTicks(frames, rate) {
  if (!rate) return frames;
  const step = (frames[1] - frames[0]) / rate;
  const digits = step > 0 ? Math.min(6, Math.max(0, 1 - Math.floor(Math.log10(step)))) : 1;
  return frames.map((frame) => `${Number((frame / rate).toFixed(digits))} s`);
}

/** Return the largest number up to `target` that is 1, 2 or 5 times a power of ten. */
export function roundLength(target) {
  const power = 10 ** Math.floor(Math.log10(target));
  for (const step of [5, 2, 1]) if (step * power <= target) return step * power;
  return power;
}
