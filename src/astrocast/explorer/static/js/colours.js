// Colour maps and palettes, which colour-blind people can distinguish.

/** Colours of Okabe & Ito (2008) that are well visible on grey tissue. */
export const CATEGORIES = [
  "#E69F00",
  "#56B4E9",
  "#009E73",
  "#F0E442",
  "#D55E00",
  "#CC79A7",
  "#0072B2",
  "#FFFFFF",
];
export const STATUS = { "": "#E69F00", accepted: "#2FC99A", rejected: "#8B97A3", made: "#F0E442" };
const UNKNOWN = "#8B97A3";
const MOST_CATEGORIES = 8;
export const CHANGES = { kept: "#E69F00", new: "#56B4E9", lost: "#CC79A7", changed: "#F0E442" };

// colours at equal distances in each map of matplotlib; those between are interpolated
const STOPS = {
  grey: ["#000000", "#ffffff"],
  viridis: ["#440154", "#414487", "#2a788e", "#22a884", "#7ad151", "#fde725"],
  magma: ["#000004", "#3b0f70", "#8c2981", "#de4968", "#fe9f6d", "#fcfdbf"],
  cividis: ["#00224e", "#35456c", "#666970", "#948e77", "#c8b866", "#fee838"],
  // plasma without its dark colours, which are not visible on tissue
  time: ["#b12a90", "#cc4778", "#e16462", "#f2844b", "#fca636", "#f0f921"],
};
export const MAPS = ["grey", "viridis", "magma", "cividis"];

const parse = (hex) => [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));

/** Return the colour at `share` (0 ... 1) of a map, as [red, green, blue]. */
export function mapColour(name, share) {
  const stops = STOPS[name];
  const place = Math.min(Math.max(share, 0), 1) * (stops.length - 1);
  const index = Math.min(Math.floor(place), stops.length - 2);
  const [a, b] = [parse(stops[index]), parse(stops[index + 1])];
  return a.map((value, i) => Math.round(value + (b[i] - value) * (place - index)));
}

export const css = ([red, green, blue]) => `rgb(${red}, ${green}, ${blue})`;

const tables = new Map();

/** Return the pixels (uint32, as in the data of an image) of the grey values 0 ... 255. */
export function lookupTable(name, gamma = 1) {
  const key = `${name}:${gamma}`;
  if (!tables.has(key)) {
    const bytes = new Uint8ClampedArray(1024);
    for (let i = 0; i < 256; i += 1) {
      const [red, green, blue] = mapColour(name, (i / 255) ** gamma);
      bytes.set([red, green, blue, 255], 4 * i);
    }
    tables.set(key, new Uint32Array(bytes.buffer));
  }
  return tables.get(key);
}

/** Return how the values of a column become colours: `{colour(row), legend}`. */
export function colourScale(column) {
  if (!column) return { colour: () => CATEGORIES[0], legend: null };
  const { values } = column;
  if (column.name === "curation") return statusScale(values);
  const given = values.filter((value) => value !== null);
  const distinct = [...new Set(given)];
  const isFew = distinct.length <= MOST_CATEGORIES && distinct.length < given.length;
  const isCategory = !column.numeric || (isFew && given.every(Number.isInteger));
  return isCategory ? categoryScale(values, distinct.sort()) : continuousScale(values, given);
}

function statusScale(values) {
  const { "": undecided, ...others } = STATUS;
  return {
    colour: (row) => STATUS[values[row]] || undecided,
    legend: { items: { undecided, ...others } },
  };
}

function categoryScale(values, distinct) {
  const named = distinct.filter((value) => value !== "");
  const colours = new Map(named.map((value, i) => [value, CATEGORIES[i % CATEGORIES.length]]));
  const items = Object.fromEntries(colours);
  if (named.length < distinct.length) items.none = UNKNOWN;
  return { colour: (row) => colours.get(values[row]) || UNKNOWN, legend: { items } };
}

/** From the 2nd to the 98th percentile of the values. */
function continuousScale(values, given) {
  const sorted = given.sort((a, b) => a - b);
  const low = sorted[Math.floor(0.02 * (sorted.length - 1))] ?? 0;
  const high = sorted[Math.ceil(0.98 * (sorted.length - 1))] ?? 1;
  const span = high > low ? high - low : 1;
  const colour = (row) =>
    values[row] === null ? UNKNOWN : css(mapColour("time", (values[row] - low) / span));
  return { colour, legend: { map: "time", low, high } };
}
