// Parameters: change, preview on a crop, compare settings, run on everything.
import { getJSON, send } from "./api.js";
import { CHANGES } from "./colours.js";
import { fill, h } from "./dom.js";
import { createField, showValue } from "./forms.js";
import { watchJob } from "./jobs.js";
import { drawLines } from "./lines.js";
import { complain, say } from "./messages.js";
import { createPreviews } from "./previews.js";
import { boxTool } from "./tools.js";

const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);
const at = (values, path) => path.split(".").reduce((part, name) => part?.[name], values);

function changedAt(values, path, value) {
  const [name, ...rest] = path.split(".");
  return {
    ...values,
    [name]: rest.length ? changedAt(values[name], rest.join("."), value) : value,
  };
}

export function createTune(page) {
  const { store, info } = page;
  const box = h("div.scroll");
  let known = null;
  let settings = null;
  const undone = [];
  let stage = "detection";
  let fields = [];
  let crop = null;
  const stages = h("div.segments", { role: "group", "aria-label": "Stage" });
  const form = h("div.fields");
  const cropText = h("span.soft");
  const live = h("input", { type: "checkbox", checked: true });
  const previews = createPreviews(page, (entry) => {
    remember();
    settings = structuredClone(entry.settings);
    show();
  });
  const undoButton = h(
    "button",
    { onclick: undo, title: "Take back the last change of a parameter" },
    "Undo",
  );
  const state = h("div.soft", { role: "status" });

  function remember() {
    undone.push(settings);
    if (undone.length > 100) undone.shift();
  }

  function undo() {
    if (!undone.length) return;
    settings = undone.pop();
    show();
    if (live.checked) preview();
  }

  function change(path, value) {
    remember();
    settings = changedAt(settings, path, value);
    show();
    if (live.checked) preview();
  }

  function sections() {
    return known.sections
      .filter(({ path }) => path.split(".")[0] === stage)
      .map((section) => {
        const calibrated = settings.detection.method === "calibrated";
        const names = Object.keys(section.schema.properties).filter((name) => {
          if (section.path === "detection.calibration") return calibrated;
          return section.path !== "detection" || !calibrated || section.both_methods.includes(name);
        });
        return { ...section, names };
      })
      .filter(({ names }) => names.length);
  }

  function build() {
    fill(
      stages,
      ["detection", "delta", "motion"].map((name) =>
        h(
          "button",
          {
            "aria-pressed": String(name === stage),
            onclick: () => {
              stage = name;
              build();
            },
          },
          known.sections.find(({ path }) => path === name).title,
        ),
      ),
    );
    fields = sections().flatMap(({ path, names, schema }) =>
      names.map((name) => {
        const full = `${path}.${name}`;
        return {
          full,
          field: createField(full, schema.properties[name], (value) => change(full, value)),
        };
      }),
    );
    fill(
      form,
      fields.map(({ field }) => field.element),
    );
    show();
  }

  function show() {
    if (
      stage === "detection" &&
      fields.length &&
      sections().reduce((n, { names }) => n + names.length, 0) !== fields.length
    ) {
      build();
      return;
    }
    for (const { full, field } of fields)
      field.show(at(settings, full), !same(at(settings, full), at(known.settings, full)));
    undoButton.disabled = !undone.length;
  }

  function defaultCrop() {
    const { frame, selected } = store.get();
    const half = (n, most) => Math.min(n, most);
    const place = selected
      ? {
          row: page.value(selected, "v_fp_cx") ?? info.rows / 2,
          column: page.value(selected, "v_fp_cy") ?? info.columns / 2,
        }
      : { row: info.rows / 2, column: info.columns / 2 };
    const span = (centre, wide, most) => {
      const begin = Math.round(Math.min(Math.max(centre - wide / 2, 0), most - wide));
      return [begin, begin + wide];
    };
    return {
      rows: span(place.row, half(128, info.rows), info.rows),
      columns: span(place.column, half(128, info.columns), info.columns),
      frames: span(frame, half(100, info.frames), info.frames),
    };
  }

  function showCrop() {
    const { rows, columns, frames } = crop;
    fill(
      cropText,
      `${rows[1] - rows[0]} × ${columns[1] - columns[0]} pixels, frames ${frames[0]}–${frames[1] - 1}`,
    );
  }

  const length = h("input", {
    type: "number",
    min: 20,
    value: 100,
    "aria-label": "Frames of the preview",
    title: "Frames of the preview, around the cursor",
    onchange: () => {
      const wide = Math.min(Math.max(20, Number(length.value)), info.frames);
      const begin = Math.round(
        Math.min(Math.max(store.get().frame - wide / 2, 0), info.frames - wide),
      );
      crop = { ...crop, frames: [begin, begin + wide] };
      showCrop();
    },
  });
  length.style.width = "5rem";

  let running = null;
  async function preview() {
    crop ||= defaultCrop();
    showCrop();
    const mine = structuredClone(settings);
    const ticket = (running = {});
    try {
      if (preview.job) await send(`/api/jobs/${preview.job}`, {}, "DELETE").catch(() => {});
      const job = await send(`${page.base}/previews`, { settings: mine, stage, ...crop });
      preview.job = job.name;
      state.textContent = "computing …";
      const done = await watchJob(job.name, (now) => {
        if (running === ticket)
          state.textContent = now.stage
            ? `${now.stage}: ${now.done} of ${now.total}`
            : "computing …";
      });
      if (running !== ticket) return;
      preview.job = null;
      if (done.status === "failed") throw new Error(done.message);
      if (done.status !== "done") {
        state.textContent = "stopped";
        return;
      }
      state.textContent = `done in ${done.seconds.toFixed(1)} s`;
      previews.add(done.result, mine, describeChanges(mine));
      drawLines(lines, done.result, crop.frames[0], info.frame_rate);
      for (const text of done.result.warnings.slice(0, 2)) say(text);
    } catch (error) {
      if (running === ticket) {
        state.textContent = "";
        preview.job = null;
        complain(error);
      }
    }
  }

  function describeChanges(values) {
    return known.sections
      .flatMap(({ path, schema }) =>
        Object.keys(schema.properties).map((name) => `${path}.${name}`),
      )
      .filter((full) => !same(at(values, full), at(known.settings, full)))
      .map((full) => `${full.split(".").pop()} ${showValue(at(values, full)) || "none"}`);
  }

  const lines = h("div");
  const copy = h("div");
  async function showText(kind) {
    try {
      const text = await send(`${page.base}/parameters/text`, { settings });
      const block = h("pre", {}, text[kind]);
      fill(copy, block);
      await navigator.clipboard
        ?.writeText(text[kind])
        .then(() => say("Copied."))
        .catch(() => {});
    } catch (error) {
      complain(error);
    }
  }

  const runName = h("input", { type: "text", "aria-label": "Name of the new results" });
  const runBox = h("div");
  async function describeRuns() {
    const found = await getJSON(`${page.base}/runs`);
    runName.value ||= found.name;
    runName.title = `In ${found.folder}; nothing that exists is changed`;
    if (found.unfinished.length)
      fill(
        runBox,
        h(
          "div.row",
          {},
          h("span.soft", {}, "not finished:"),
          found.unfinished.map((name) =>
            h("button", { onclick: () => run(name) }, `go on with ${name}`),
          ),
        ),
      );
  }

  async function run(name) {
    try {
      const job = await send(`${page.base}/runs`, { settings, name });
      const bar = h("progress", { max: 1, value: 0 });
      const text = h("div.soft");
      const stop = h(
        "button",
        { onclick: () => send(`/api/jobs/${job.name}`, {}, "DELETE").catch(complain) },
        "Cancel",
      );
      fill(runBox, bar, h("div.row", {}, text, h("span.grow"), stop));
      const done = await watchJob(job.name, (now) => {
        bar.value = now.total ? now.done / now.total : 0;
        text.textContent = now.stage ? `${now.stage}: ${now.done} of ${now.total}` : "waiting";
      });
      fill(runBox);
      if (done.status === "failed") throw new Error(done.message);
      if (done.status === "cancelled") {
        say("The run was stopped; it can go on later.");
        await describeRuns();
        return;
      }
      const address = `/?project=${done.result.project}`;
      fill(
        runBox,
        h(
          "div.row",
          {},
          h("b", {}, `${done.result.events} events`),
          h("span.soft", {}, `in ${done.facts.directory}`),
          h("a.button", { href: address }, "Open"),
        ),
      );
      runName.value = "";
      await describeRuns();
    } catch (error) {
      complain(error);
    }
  }

  fill(
    box,
    h(
      "div.block",
      {},
      h(
        "div.row",
        {},
        stages,
        h("span.grow"),
        undoButton,
        h(
          "button",
          {
            onclick: () => {
              remember();
              settings = structuredClone(known.settings);
              show();
            },
            title: "The parameters of this result",
          },
          "Reset",
        ),
      ),
    ),
    h(
      "div.block",
      {},
      h("h2", {}, "Preview"),
      h(
        "div.row",
        {},
        h(
          "button",
          {
            onclick: () => {
              page.useTool(
                boxTool(page, "Drag a box over what to try the parameters on.", (found) => {
                  crop = { ...(crop || defaultCrop()), ...found };
                  showCrop();
                  preview();
                }),
              );
            },
          },
          "Choose crop",
        ),
        cropText,
      ),
      h(
        "div.row",
        {},
        h("span.soft", {}, "frames"),
        length,
        h("label.soft", {}, live, " at every change"),
        h("span.grow"),
        h("button.main", { onclick: preview }, "Preview"),
      ),
      state,
      previews.box,
      lines,
    ),
    h("div.block", {}, form),
    h(
      "div.block",
      {},
      h("h2", {}, "Use these parameters"),
      h(
        "div.row",
        {},
        h("span.soft", {}, "copy as"),
        ["yaml", "set", "python"].map((kind) =>
          h(
            "button",
            { onclick: () => showText(kind) },
            { yaml: "YAML", set: "--set", python: "Python" }[kind],
          ),
        ),
      ),
      copy,
      h(
        "div.row",
        {},
        h("span.soft", {}, "new results"),
        runName,
        h("button.main", { onclick: () => run(runName.value) }, "Run on the whole recording"),
      ),
      runBox,
    ),
  );

  let asked = false;
  async function opened() {
    if (asked) return;
    asked = true;
    try {
      known = await getJSON(`${page.base}/parameters`);
      settings = structuredClone(known.settings);
      crop = defaultCrop();
      showCrop();
      build();
      await describeRuns();
    } catch (error) {
      complain(error);
    }
  }
  return { box, opened, legend: CHANGES };
}
