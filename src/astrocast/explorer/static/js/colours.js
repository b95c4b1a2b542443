// Colour maps and palettes; all of them stay apart for colour-blind people.

/** Okabe & Ito (2008), those that are seen well on grey tissue. */
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
export const CHANGES = { kept: "#E69F00", new: "#56B4E9", lost: "#CC79A7", changed: "#F0E442" };

// a few colours of each map, between which is interpolated (matplotlib's maps)
const STOPS = {
  grey: ["#000000", "#ffffff"],
  viridis: ["#440154", "#414487", "#2a788e", "#22a884", "#7ad151", "#fde725"],
  magma: ["#000004", "#3b0f70", "#8c2981", "#de4968", "#fe9f6d", "#fcfdbf"],
  cividis: ["#00224e", "#35456c", "#666970", "#948e77", "#c8b866", "#fee838"],
  // plasma without its dark end, which would vanish on tissue
  time: ["#b12a90", "#cc4778", "#e16462", "#f2844b", "#fca636", "#f0f921"],
};
export const MAPS = ["grey", "viridis", "magma", "cividis"];

const parse = (hex) => [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));

/** The colour of `share` (0 ... 1) in a map, as [red, green, blue]. */
export function mapColour(name, share) {
  const stops = STOPS[name];
  const place = Math.min(Math.max(share, 0), 1) * (stops.length - 1);
  const index = Math.min(Math.floor(place), stops.length - 2);
  const [a, b] = [parse(stops[index]), parse(stops[index + 1])];
  return a.map((value, i) => Math.round(value + (b[i] - value) * (place - index)));
}

export const css = ([red, green, blue]) => `rgb(${red}, ${green}, ${blue})`;

const tables = new Map();

/** 256 pixels (as the bytes of an image have them) for the grey values 0 ... 255. */
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

/** How a column colours events: `{colour(row), legend}`. */
export function colourScale(column) {
  if (!column) return { colour: () => CATEGORIES[0], legend: null };
  if (column.name === "curation") {
    return {
      colour: (row) => STATUS[column.values[row]] || STATUS[""],
      legend: {
        items: {
          undecided: STATUS[""],
          accepted: STATUS.accepted,
          rejected: STATUS.rejected,
          made: STATUS.made,
        },
      },
    };
  }
  const given = column.values.filter((value) => value !== null);
  const distinct = [...new Set(given)];
  if (
    !column.numeric ||
    (distinct.length <= 8 && given.every(Number.isInteger) && distinct.length < given.length)
  ) {
    const order = new Map(
      distinct
        .sort()
        .map((value, i) => [
          value,
          value === ""
            ? "#8B97A3"
            : CATEGORIES[(i - (distinct[0] === "" ? 1 : 0)) % CATEGORIES.length],
        ]),
    );
    return {
      colour: (row) => order.get(column.values[row]) || "#8B97A3",
      legend: { items: Object.fromEntries([...order].map(([k, v]) => [k === "" ? "none" : k, v])) },
    };
  }
  const sorted = given.sort((a, b) => a - b);
  const low = sorted[Math.floor(0.02 * (sorted.length - 1))] ?? 0;
  const high = sorted[Math.ceil(0.98 * (sorted.length - 1))] ?? 1;
  const span = high > low ? high - low : 1;
  return {
    colour: (row) =>
      column.values[row] === null
        ? "#8B97A3"
        : css(mapColour("time", (column.values[row] - low) / span)),
    legend: { map: "time", low, high },
  };
}
