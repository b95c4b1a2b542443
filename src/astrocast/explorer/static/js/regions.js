// Regions: cells, landmarks, axes, exclusion masks.
import { getBlob, getJSON, send, upload } from "./api.js";
import { block, button, fill, h, note, numberField, rem, row, saveFile, spacer } from "./dom.js";
import { complain, say } from "./messages.js";
import { brushTool, lineTool, pointTool, polygonTool } from "./tools.js";

const COLOURS = {
  cell: "#56B4E9",
  soma: "#E69F00",
  process: "#CC79A7",
  endfoot: "#0072B2",
  landmark: "#F0E442",
  axis: "#009E73",
  exclusion: "#D55E00",
};
const PARTS = ["soma", "process", "endfoot"];
const AREAS = ["cell", "soma", "process", "endfoot", "landmark", "exclusion"];
const TEXT = {
  cell: "cell: events are attributed to it",
  soma: "soma: part of a cell",
  process: "process: part of a cell",
  endfoot: "endfoot: part of a cell",
  landmark: "landmark: distance and direction of events",
  axis: "axis (for example anterior): position along it",
  exclusion: "exclusion: area to leave out",
};
const POLYGON = "Click around the region; a double-click or Enter ends the outline.";
const FOUND = "✎ changes an outline, × removes a region, Undo removes all of them.";

const corner = ({ row: r, column }) => [r, column];
const plural = (count) => `${count} region${count === 1 ? "" : "s"}`;

/** Return an unused name: "cell 1", "cell 2" ... */
function freeName(stem, regions) {
  const names = new Set(regions.map(({ name }) => name));
  let number = 1;
  while (names.has(`${stem} ${number}`)) number += 1;
  return `${stem} ${number}`;
}

/** Append regions; those whose name is used get another one. */
function appendRegions(regions, added) {
  const all = [...regions];
  for (const region of added) {
    const isUsed = all.some(({ name }) => name === region.name);
    all.push(isUsed ? { ...region, name: freeName(region.name, all) } : region);
  }
  return all;
}

export function createRegions(page) {
  const { store, info } = page;
  const address = `${page.base}/regions`;
  const history = [];
  const regions = () => store.get().regions || [];

  // ---- changes: one after the other, each on the list that the server has now

  let queue = Promise.resolve();

  /** Save what `edit(regions)` returns; null changes nothing. */
  function change(edit, { isUndo = false } = {}) {
    const task = async () => {
      const before = await getJSON(address); // another tab may have changed it
      const after = await edit(before);
      if (!after) return;
      const saved = await send(address, after, "PUT");
      if (isUndo) history.pop();
      else history.push(before);
      store.set({ regions: saved });
      if (info.has_events) await page.loadEvents();
    };
    queue = queue.then(task).then(
      () => true,
      (error) => {
        complain(error);
        showList(); // fields show the stored values again
        return false;
      },
    );
    return queue;
  }

  const add = (shape) =>
    change((now) => {
      const region = { name: freeName(kind.value, now), kind: kind.value, rings: [], points: [] };
      return [...now, { ...region, ...shape }];
    });
  const remove = (name) => change((now) => now.filter((region) => region.name !== name));
  const edit = (name, values) =>
    change((now) =>
      now.map((region) => (region.name === name ? { ...region, ...values } : region)),
    );
  const undo = () =>
    history.length
      ? change(() => history.at(-1) ?? null, { isUndo: true })
      : say("There is no change to undo.");

  async function findCells() {
    say("Looking for cells …");
    const values = {
      layer: store.get().layers[0],
      diameter: Number(diameter.value),
      parts: parts.checked,
    };
    await change(async (now) => {
      const found = await send(`${address}/segment`, values);
      if (!found.length) {
        say("The mean image shows no cell of this diameter.", { error: true });
        return null;
      }
      say(`Found ${plural(found.length)}. ${FOUND}`);
      return appendRegions(now, found);
    });
  }

  /** Add the stroke of a brush to a region, or remove it from the region. */
  function brush(name, ofKind, path, isErasing) {
    return change(async (now) => {
      const own = now.find((region) => region.name === name);
      const { rings } = await send(`${address}/brush`, {
        rings: own?.rings || [],
        path: path.map(corner),
        radius: Number(radius.value),
        erase: isErasing,
      });
      const rest = now.filter((region) => region.name !== name);
      return rings.length ? [...rest, { name, kind: ofKind, rings, points: [] }] : rest;
    });
  }

  async function loadFile() {
    if (!file.files.length) return;
    const [chosen] = file.files;
    let text = "";
    const isStored = await change(async (now) => {
      const found = await upload(`${address}/import`, chosen);
      const shape = (region) => JSON.stringify([region.kind, region.rings, region.points]);
      const existing = new Set(now.map(shape));
      const added = found.filter((region) => !existing.has(shape(region)));
      const skipped = found.length - added.length;
      text = `${plural(added.length)} loaded${skipped ? `; ${skipped} existed already` : ""}.`;
      return added.length ? appendRegions(now, added) : null;
    });
    if (isStored) say(text);
    file.value = "";
  }

  async function saveAs(format, name) {
    try {
      saveFile(await getBlob(`${address}/${format}`), name);
    } catch (error) {
      complain(error);
    }
  }

  // ---- tools

  const drawPolygon = () =>
    page.useTool(polygonTool(page, POLYGON, (points) => add({ rings: [points.map(corner)] })));
  const drawPoint = () =>
    page.useTool(pointTool(page, "Click the landmark.", (at) => add({ points: [corner(at)] })));
  const drawArrow = () => {
    const hint = "Drag from the start of the axis to its end (for example posterior to anterior).";
    page.useTool(lineTool(page, hint, (points) => add({ points: points.map(corner) })));
  };
  function paint(name = freeName(kind.value, regions()), ofKind = kind.value) {
    const hint = `Paint ${name}; with Alt the brush erases; Esc ends.`;
    const done = (path, isErasing) => brush(name, ofKind, path, isErasing);
    page.useTool(brushTool(page, hint, () => Number(radius.value), done));
  }

  // ---- elements

  const kind = h(
    "select",
    { "aria-label": "Kind", onchange: () => showTools() },
    Object.entries(TEXT).map(([value, text]) => h("option", { value }, text)),
  );
  const radius = h("input", {
    type: "range",
    min: 1,
    max: 40,
    value: 6,
    "aria-label": "Brush radius",
    title: "Brush radius, in pixels",
  });
  const shown = h("input", {
    type: "checkbox",
    checked: true,
    onchange: () => store.set({ showRegions: shown.checked }),
  });
  const file = h("input", {
    type: "file",
    accept: ".geojson,.json,.roi,.zip",
    hidden: true,
    onchange: loadFile,
  });
  const sixth = Math.round(Math.min(info.rows, info.columns) / 6);
  const diameter = numberField("Diameter of a cell", info.pixel_size ? 40 : Math.max(6, sixth), {
    min: 3,
    step: "any",
    title: "Diameter of a cell with its processes",
  });
  const parts = h("input", { type: "checkbox" });
  const tools = h("div.row");
  const list = h("div");

  function showTools() {
    const isAxis = kind.value === "axis";
    fill(
      tools,
      isAxis
        ? button("Arrow", drawArrow)
        : [button("Polygon", drawPolygon), button("Brush", () => paint())],
      kind.value === "landmark" ? button("Point", drawPoint) : null,
      isAxis ? null : h("label.soft", {}, "brush", radius),
      spacer(),
      button("Undo", undo, { title: "Undo the last change of regions" }),
    );
  }

  function showList() {
    fill(list, regions().length ? regions().map(showRegion) : note("No regions yet."));
  }

  function showRegion(region) {
    const mark = h("i");
    mark.style.background = COLOURS[region.kind];
    const name = h("input", {
      type: "text",
      value: region.name,
      "aria-label": "Name",
      maxLength: 60,
      onchange: () => edit(region.name, { name: name.value }),
    });
    const kinds = AREAS.map((value) =>
      h("option", { value, selected: value === region.kind }, value),
    );
    const choice = h(
      "select",
      {
        "aria-label": `Kind of ${region.name}`,
        onchange: () => edit(region.name, { kind: choice.value }),
      },
      kinds,
    );
    const isArea = region.rings.length > 0;
    const repaint = button("✎", () => paint(region.name, region.kind), {
      kind: "bare",
      title: "Change the outline with the brush; with Alt it erases",
      "aria-label": `Brush ${region.name}`,
    });
    return row(
      h("span.chip", {}, mark, isArea ? choice : region.kind),
      name,
      spacer(),
      isArea ? repaint : null,
      button("×", () => remove(region.name), {
        kind: "bare",
        title: "Remove",
        "aria-label": `Remove ${region.name}`,
      }),
    );
  }

  const box = h(
    "div.scroll",
    {},
    block("Draw a region", row(kind), tools),
    block(
      "Find cells",
      note("An estimate from the mean image and the positions of events; correct it by hand."),
      row(
        "diameter",
        diameter,
        info.pixel_size ? "µm" : "px",
        h("label", {}, parts, " soma, process, endfoot"),
        spacer(),
        button("Find", findCells),
      ),
    ),
    block(["Regions", spacer(), h("label.soft", {}, shown, " show")], list),
    block(
      "Files",
      row(
        button("Load GeoJSON or ImageJ", () => file.click()),
        file,
        button("Save GeoJSON", () => saveAs("geojson", "regions.geojson")),
        button("Save ImageJ", () => saveAs("imagej", "regions.zip")),
      ),
      note(
        "Each change is saved beside the recording at once. The event table gets the columns",
        " region, v_distance_…, v_direction_… and v_along_….",
      ),
    ),
  );

  page.drawRegions = (context, view, scale) => {
    if (!store.get().showRegions) return;
    for (const region of regions()) drawRegion(context, region, scale);
  };
  store.on(["regions"], showList);
  showTools();
  showList();
  queue = getJSON(address)
    .then((found) => store.set({ regions: found }))
    .catch(complain);
  return { box };
}

function drawRegion(context, { name, kind, rings, points }, scale) {
  const colour = COLOURS[kind];
  const path = new Path2D();
  for (const ring of rings) {
    ring.forEach(([row, column], i) => (i ? path.lineTo(column, row) : path.moveTo(column, row)));
    path.closePath();
  }
  context.globalAlpha = kind === "exclusion" ? 0.25 : 0.1;
  context.fillStyle = colour;
  context.fill(path, "evenodd");
  context.globalAlpha = 1;
  const width = (1.8 * rem()) / 13 / scale.y;
  if (points.length === 2) arrow(path, points, scale);
  if (points.length === 1) path.arc(points[0][1], points[0][0], 6 / scale.y, 0, 7);
  for (const [paint, wide] of [
    ["rgba(0, 0, 0, .5)", 2],
    [colour, 1],
  ]) {
    context.strokeStyle = paint;
    context.lineWidth = wide * width;
    context.stroke(path);
  }
  // parts lie inside their cell: the names would cover each other
  if (PARTS.includes(kind)) return;
  const [row, column] =
    points[0] || rings[0].reduce((top, point) => (point[0] < top[0] ? point : top));
  context.save();
  context.translate(column, row);
  context.scale(1 / scale.x, 1 / scale.y);
  context.font = `600 ${0.85 * rem()}px system-ui, sans-serif`;
  context.textAlign = "center";
  context.lineWidth = 3;
  context.strokeStyle = "rgba(0, 0, 0, .7)";
  context.strokeText(name, 0, -8);
  context.fillStyle = colour;
  context.fillText(name, 0, -8);
  context.restore();
}

function arrow(path, [[r0, c0], [r1, c1]], scale) {
  path.moveTo(c0, r0);
  path.lineTo(c1, r1);
  const angle = Math.atan2(r1 - r0, c1 - c0);
  for (const turn of [2.6, -2.6]) {
    path.moveTo(c1, r1);
    path.lineTo(
      c1 + (12 / scale.y) * Math.cos(angle + turn),
      r1 + (12 / scale.y) * Math.sin(angle + turn),
    );
  }
}
