// Parameters: change, preview on a crop, compare, run on the whole recording.
import { getJSON, send } from "./api.js";
import { block, button, fill, h, numberField, row, soft, spacer } from "./dom.js";
import { createField, showValue } from "./forms.js";
import { watchJob } from "./jobs.js";
import { drawLines } from "./lines.js";
import { complain, say } from "./messages.js";
import { createPreviews } from "./previews.js";
import { createRuns } from "./runs.js";
import { boxTool } from "./tools.js";

const STAGES = ["detection", "delta", "motion"];
const NOTATIONS = { yaml: "YAML", set: "--set", python: "Python" };
const MOST_UNDO = 100;
/** Size of the first crop: rows, columns, frames. */
const CROP = { side: 128, frames: 100 };

const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);
const valueAt = (values, path) => path.split(".").reduce((part, name) => part?.[name], values);

/** Return a copy of nested values in which the value at a path is another one. */
function withValueAt(values, path, value) {
  const [name, ...rest] = path.split(".");
  const inner = rest.length ? withValueAt(values[name], rest.join("."), value) : value;
  return { ...values, [name]: inner };
}

/** Return [begin, end] of `size` numbers around a centre, inside 0 ... `most`. */
function spanAround(centre, size, most) {
  const wide = Math.min(size, most);
  const begin = Math.round(Math.min(Math.max(centre - wide / 2, 0), most - wide));
  return [begin, begin + wide];
}

export function createTune(page) {
  const { store, info } = page;
  let known = null; // settings of this result, defaults, and schemas
  let settings = null; // settings as the user changed them
  const undone = []; // earlier settings
  let stage = "detection";
  let fields = [];

  // ---- settings

  function setSettings(next) {
    if (same(next, settings)) return;
    undone.push(settings);
    if (undone.length > MOST_UNDO) undone.shift();
    settings = next;
    showSettings();
  }

  function changeAndPreview(next) {
    setSettings(next);
    if (live.checked) preview();
  }

  function undo() {
    if (!undone.length) return;
    settings = undone.pop();
    showSettings();
    if (live.checked) preview();
  }

  function showSettings() {
    fill(copied); // the text of other settings
    const names = sections().flatMap((section) => section.names);
    if (names.length !== fields.length) return build();
    for (const { path, field } of fields) {
      const value = valueAt(settings, path);
      field.show(value, !same(value, valueAt(known.settings, path)));
    }
    undoButton.disabled = !undone.length;
    return undefined;
  }

  /** Sections of the stage, with the parameters that the chosen method uses. */
  function sections() {
    const isCalibrated = settings.detection.method === "calibrated";
    const isUsed = (section) => (name) => {
      if (section.path === "detection.calibration") return isCalibrated;
      if (section.path !== "detection") return true;
      return !isCalibrated || section.both_methods.includes(name);
    };
    return known.sections
      .filter(({ path }) => path.split(".")[0] === stage)
      .map((section) => {
        const names = Object.keys(section.schema.properties).filter(isUsed(section));
        return { ...section, names };
      })
      .filter(({ names }) => names.length);
  }

  function build() {
    const titleOf = (name) => known.sections.find(({ path }) => path === name).title;
    const stageButton = (name) =>
      button(titleOf(name), () => chooseStage(name), { "aria-pressed": String(name === stage) });
    fill(stages, STAGES.map(stageButton));
    fields = sections().flatMap(({ path: section, names, schema }) =>
      names.map((name) => {
        const path = `${section}.${name}`;
        const change = (value) => changeAndPreview(withValueAt(settings, path, value));
        return { path, field: createField(path, schema.properties[name], change) };
      }),
    );
    fill(
      form,
      fields.map(({ field }) => field.element),
    );
    showSettings();
  }

  function chooseStage(name) {
    if (name === stage) return;
    stage = name;
    stopPreview();
    fill(lines); // of the other stage
    fill(warnings);
    previews.box.hidden = stage !== "detection";
    store.set({ preview: null });
    state.textContent = "";
    build();
  }

  function describeChanges(values) {
    return known.sections
      .flatMap(({ path, schema }) => Object.keys(schema.properties).map((n) => `${path}.${n}`))
      .filter((path) => !same(valueAt(values, path), valueAt(known.settings, path)))
      .map((path) => `${path.split(".").pop()} ${showValue(valueAt(values, path)) || "none"}`);
  }

  // ---- the crop: around the cursor and the selected event, or as the user drew it

  let crop = null;
  let isDrawn = false;

  function updateCrop() {
    const { frame, selected } = store.get();
    const centre = { row: info.rows / 2, column: info.columns / 2 };
    if (selected) {
      centre.row = page.value(selected, "v_fp_cx") ?? centre.row;
      centre.column = page.value(selected, "v_fp_cy") ?? centre.column;
    }
    const isInside = (value, [begin, end]) => value >= begin && value < end;
    const isStale =
      !crop ||
      (selected && !(isInside(centre.row, crop.rows) && isInside(centre.column, crop.columns)));
    if (isStale && !isDrawn) {
      const rows = spanAround(centre.row, CROP.side, info.rows);
      const columns = spanAround(centre.column, CROP.side, info.columns);
      crop = { frames: crop?.frames, rows, columns };
    }
    if (!crop.frames || !isInside(frame, crop.frames)) {
      crop = { ...crop, frames: spanAround(frame, Number(length.value), info.frames) };
    }
    showCrop();
  }

  function showCrop() {
    const { rows, columns, frames } = crop;
    const size = `${rows[1] - rows[0]} × ${columns[1] - columns[0]} pixels`;
    cropText.textContent = `${size}, frames ${frames[0]}–${frames[1] - 1}`;
  }

  function drawCrop() {
    const take = (found) => {
      isDrawn = true;
      crop = { ...crop, ...found };
      preview();
    };
    page.useTool(boxTool(page, "Drag a box around the area of the preview.", take));
  }

  function changeLength() {
    const least = Math.min(20, info.frames);
    length.value = Math.min(Math.max(least, Number(length.value)), info.frames);
    crop = { ...crop, frames: spanAround(store.get().frame, Number(length.value), info.frames) };
    showCrop();
  }

  // ---- previews: the latest one counts

  let running = null;

  /** Give up the preview that is computed; its answer is not shown. */
  function stopPreview() {
    const job = running?.job;
    running = null;
    return job ? send(`/api/jobs/${job}`, {}, "DELETE").catch(() => {}) : null;
  }

  async function preview() {
    updateCrop();
    const wanted = { settings: structuredClone(settings), stage, ...crop };
    const stopped = stopPreview();
    const mine = (running = { job: null });
    const isCurrent = () => running === mine;
    state.textContent = "computing …";
    fill(warnings);
    try {
      await stopped;
      if (!isCurrent()) return;
      const { name } = await send(`${page.base}/previews`, wanted);
      mine.job = name;
      if (!isCurrent()) {
        await send(`/api/jobs/${name}`, {}, "DELETE");
        return;
      }
      const job = await watchJob(name, (now) => {
        if (isCurrent() && now.stage)
          state.textContent = `${now.stage}: ${now.done} of ${now.total}`;
      });
      if (isCurrent()) showPreview(job, wanted);
    } catch (error) {
      if (isCurrent()) {
        state.textContent = "";
        complain(error);
      }
    } finally {
      if (isCurrent()) running = null;
    }
  }

  function showPreview(job, wanted) {
    if (job.status === "failed") throw new Error(job.message);
    if (job.status !== "done") {
      state.textContent = "stopped";
      return;
    }
    state.textContent = `done in ${job.seconds.toFixed(1)} s`;
    previews.add(job.result, wanted.settings, describeChanges(wanted.settings));
    drawLines(lines, job.result, wanted.frames[0], info.frame_rate);
    fill(
      warnings,
      job.result.warnings.map((text) => h("p.warning", {}, text)),
    );
  }

  // ---- settings as text

  async function copyAs(notation) {
    const wanted = settings;
    copyAs.latest = notation;
    const isCurrent = () => settings === wanted && copyAs.latest === notation;
    try {
      const text = await send(`${page.base}/parameters/text`, { settings: wanted });
      if (!isCurrent()) return;
      fill(copied, h("pre", {}, text[notation]));
      await navigator.clipboard?.writeText(text[notation]).then(
        () => say("Copied."),
        () => {}, // not allowed: the user copies the text that is shown
      );
    } catch (error) {
      if (isCurrent()) complain(error);
    }
  }

  // ---- elements

  const stages = h("div.segments", { role: "group", "aria-label": "Stage" });
  const form = h("div.fields");
  const cropText = soft();
  const live = h("input", { type: "checkbox", checked: true });
  const undoButton = button("Undo", undo, { title: "Undo the last change of a parameter" });
  const state = h("div.soft", { role: "status" });
  const warnings = h("div");
  const lines = h("div");
  const copied = h("div");
  const length = numberField("Frames of the preview", CROP.frames, {
    min: 20,
    title: "Number of frames of the preview, around the cursor",
    onchange: changeLength,
  });
  const previews = createPreviews(page, (entry) => setSettings(structuredClone(entry.settings)));
  const runs = createRuns(page, () => settings);

  const box = h(
    "div.scroll",
    { inert: true }, // until the parameters are loaded
    block(
      null,
      row(
        stages,
        spacer(),
        undoButton,
        button("Reset", () => changeAndPreview(structuredClone(known.settings)), {
          title: "Use the parameters of this result again",
        }),
      ),
    ),
    block(
      "Preview",
      row(button("Choose crop", drawCrop), cropText),
      row(
        soft("frames"),
        length,
        h("label.soft", {}, live, " at every change"),
        spacer(),
        button("Preview", preview, { kind: "main" }),
      ),
      state,
      previews.box,
      lines,
      warnings,
    ),
    block(null, form),
    block(
      "Use these parameters",
      row(
        soft("copy as"),
        Object.entries(NOTATIONS).map(([name, text]) => button(text, () => copyAs(name))),
      ),
      copied,
      runs.box,
    ),
  );

  let request = null;

  /** Load the parameters when the panel is shown first. */
  async function opened() {
    if (request) return;
    try {
      request = getJSON(`${page.base}/parameters`);
      known = await request;
      settings = structuredClone(known.settings);
      updateCrop();
      build();
      box.inert = false;
      await runs.load();
    } catch (error) {
      request = null; // the next visit of the panel tries again
      complain(error);
    }
  }
  return { box, opened };
}
