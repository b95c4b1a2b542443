// Regions: draw, name, save; cells, landmarks, axes, exclusion masks.
import { getJSON, send, upload } from "./api.js";
import { fill, h, rem, saveFile } from "./dom.js";
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
  soma: "soma: a part of a cell",
  process: "process: a part of a cell",
  endfoot: "endfoot: a part of a cell",
  landmark: "landmark: distance and direction of each event",
  axis: "axis, for example anterior: places along it",
  exclusion: "exclusion: what to leave out",
};

export function createRegions(page) {
  const { store } = page;
  const kind = h(
    "select",
    { "aria-label": "Kind", onchange: () => tools() },
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
  const buttons = h("div.row");
  const list = h("div");
  const shown = h("input", {
    type: "checkbox",
    checked: true,
    onchange: () => store.set({ showRegions: shown.checked }),
  });
  const file = h("input", {
    type: "file",
    accept: ".geojson,.json,.roi,.zip",
    hidden: true,
    onchange: take,
  });
  const diameter = h("input", {
    type: "number",
    min: 3,
    step: "any",
    value: page.info.pixel_size
      ? 40
      : Math.max(6, Math.round(Math.min(page.info.rows, page.info.columns) / 6)),
    "aria-label": "Diameter of a cell",
    title: "Diameter of a cell with its processes",
  });
  diameter.style.width = "5rem";
  const parts = h("input", { type: "checkbox" });
  const box = h(
    "div.scroll",
    {},
    h("div.block", {}, h("h2", {}, "Draw a region"), h("div.row", {}, kind), buttons),
    h(
      "div.block",
      {},
      h("h2", {}, "Find cells"),
      h(
        "div.soft",
        {},
        "A guess from the mean image and the places of events, to be corrected by hand.",
      ),
      h(
        "div.row",
        {},
        "diameter",
        diameter,
        page.info.pixel_size ? "µm" : "px",
        h("label", {}, parts, " soma, process, endfoot"),
        h("span.grow"),
        h("button", { onclick: segment }, "Find"),
      ),
    ),
    h(
      "div.block",
      {},
      h("h2", {}, "Regions", h("span.grow"), h("label.soft", {}, shown, " show")),
      list,
    ),
    h(
      "div.block",
      {},
      h("h2", {}, "Files"),
      h(
        "div.row",
        {},
        h("button", { onclick: () => file.click() }, "Load GeoJSON or ImageJ"),
        file,
        h("button", { onclick: () => give("geojson", "regions.geojson") }, "Save GeoJSON"),
        h("button", { onclick: () => give("imagej", "regions.zip") }, "Save ImageJ"),
      ),
      h(
        "div.soft",
        {},
        "Regions are saved beside the recording as they are drawn; columns region, v_distance_…, v_direction_… and v_along_… appear in the table.",
      ),
    ),
  );
  const history = [];
  async function segment() {
    try {
      say("looking for cells …");
      const found = await send(`${page.base}/regions/segment`, {
        layer: store.get().layers[0],
        diameter: Number(diameter.value),
        parts: parts.checked,
      });
      if (!found.length) {
        say("No cell of this diameter is seen in the mean image.", { error: true });
        return;
      }
      const names = new Set(regions().map(({ name }) => name));
      await save([
        ...regions(),
        ...found.map((region) =>
          names.has(region.name) ? { ...region, name: freeName(region.name) } : region,
        ),
      ]);
      say(
        `${found.length} region${found.length === 1 ? "" : "s"} found. ✎ changes an outline, × removes it, Undo takes all back.`,
      );
    } catch (error) {
      complain(error);
    }
  }

  const regions = () => store.get().regions || [];
  function freeName(stem) {
    const names = regions().map(({ name }) => name);
    let n = 1;
    while (names.includes(`${stem} ${n}`)) n += 1;
    return `${stem} ${n}`;
  }

  async function save(next, { keep = true } = {}) {
    if (keep) history.push(regions());
    try {
      store.set({ regions: await send(`${page.base}/regions`, next, "PUT") });
      if (page.info.has_events) await page.loadEvents();
    } catch (error) {
      if (keep) history.pop();
      complain(error);
      show();
    }
  }

  const add = (shape) =>
    save([
      ...regions(),
      { name: freeName(kind.value), kind: kind.value, rings: [], points: [], ...shape },
    ]);
  const place = ({ row, column }) => [row, column];

  function tools() {
    const area = kind.value !== "axis";
    fill(
      buttons,
      area
        ? h(
            "button",
            {
              onclick: () =>
                page.useTool(
                  polygonTool(
                    page,
                    "Click around the region; double-click or Enter ends.",
                    (points) => add({ rings: [points.map(place)] }),
                  ),
                ),
            },
            "Polygon",
          )
        : null,
      area ? h("button", { onclick: () => paint() }, "Brush") : null,
      kind.value === "landmark"
        ? h(
            "button",
            {
              onclick: () =>
                page.useTool(
                  pointTool(page, "Click the landmark.", (point) =>
                    add({ points: [place(point)] }),
                  ),
                ),
            },
            "Point",
          )
        : null,
      kind.value === "axis"
        ? h(
            "button",
            {
              onclick: () =>
                page.useTool(
                  lineTool(page, "Drag from the back to the front.", (points) =>
                    add({ points: points.map(place) }),
                  ),
                ),
            },
            "Arrow",
          )
        : null,
      area ? h("label.soft", {}, "brush", radius) : null,
      h("span.grow"),
      h(
        "button",
        {
          onclick: () => history.length && save(history.pop(), { keep: false }),
          title: "Take back the last change of regions",
        },
        "Undo",
      ),
    );
  }

  function paint(name = freeName(kind.value), chosen = kind.value) {
    page.useTool(
      brushTool(
        page,
        `Paint ${name}; Alt erases, Esc ends.`,
        () => Number(radius.value),
        async (path, erase) => {
          const own = regions().find((region) => region.name === name);
          try {
            const { rings } = await send(`${page.base}/regions/brush`, {
              rings: own?.rings || [],
              path: path.map(place),
              radius: Number(radius.value),
              erase,
            });
            const rest = regions().filter((region) => region.name !== name);
            await save(rings.length ? [...rest, { name, kind: chosen, rings, points: [] }] : rest);
          } catch (error) {
            complain(error);
          }
        },
      ),
    );
  }

  async function take() {
    if (!file.files.length) return;
    try {
      const found = await upload(`${page.base}/regions/import`, file.files[0]);
      const shape = ({ kind: what, rings, points }) => JSON.stringify([what, rings, points]);
      const there = new Set(regions().map(shape));
      const added = found.filter((region) => !there.has(shape(region)));
      const names = new Set(regions().map(({ name }) => name));
      const renamed = added.map((region) =>
        names.has(region.name) ? { ...region, name: freeName(region.name) } : region,
      );
      if (renamed.length) await save([...regions(), ...renamed]);
      const known = found.length - added.length;
      say(
        `${added.length} region${added.length === 1 ? "" : "s"} loaded${known ? `; ${known} there already` : ""}.`,
      );
    } catch (error) {
      complain(error);
    }
    file.value = "";
  }

  async function give(format, name) {
    try {
      const answer = await fetch(`${page.base}/regions/${format}`);
      if (!answer.ok) throw new Error((await answer.json()).message);
      saveFile(await answer.blob(), name);
    } catch (error) {
      complain(error);
    }
  }

  function show() {
    fill(
      list,
      regions().length
        ? regions().map((region, i) => {
            const mark = h("i");
            mark.style.background = COLOURS[region.kind];
            const name = h("input", {
              type: "text",
              value: region.name,
              "aria-label": "Name",
              maxLength: 60,
              onchange: () =>
                save(
                  regions().map((other, j) => (j === i ? { ...other, name: name.value } : other)),
                ),
            });
            const change = (other) =>
              save(regions().map((one, j) => (j === i ? { ...one, ...other } : one)));
            const type = h(
              "select",
              {
                "aria-label": `Kind of ${region.name}`,
                onchange: () => change({ kind: type.value }),
              },
              AREAS.map((value) => h("option", { value, selected: value === region.kind }, value)),
            );
            const edit = h(
              "button.bare",
              {
                title: "Change the outline with the brush; Alt erases",
                "aria-label": `Brush ${region.name}`,
                onclick: () => paint(region.name, region.kind),
              },
              "✎",
            );
            return h(
              "div.row",
              {},
              h("span.chip", {}, mark, region.rings.length ? type : region.kind),
              name,
              h("span.grow"),
              region.rings.length ? edit : null,
              h(
                "button.bare",
                {
                  title: "Remove",
                  "aria-label": `Remove ${region.name}`,
                  onclick: () => save(regions().filter((_, j) => j !== i)),
                },
                "×",
              ),
            );
          })
        : h("div.soft", {}, "None yet."),
    );
  }

  page.drawRegions = (context, view, scale) => {
    const { showRegions } = store.get();
    if (!showRegions) return;
    for (const region of regions()) drawRegion(context, region, scale);
  };
  store.on(["regions"], show);
  tools();
  show();
  getJSON(`${page.base}/regions`)
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
  // parts lie on their cell: their names would cover each other
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
