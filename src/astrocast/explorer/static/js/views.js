// All pictures: which layers are shown, drawn together on one time cursor.
import { getBytes, getJSON } from "./api.js";
import { fill, find } from "./dom.js";
import { complain } from "./messages.js";
import { drawOverlay, drawScaleBar } from "./overlay.js";
import { View } from "./view.js";

export class Views {
  constructor(page) {
    this.page = page;
    this.views = [];
    this.tool = null;
    this.pointer = null; // moved by keys; null while the mouse is used
    this.pressed = false;
    const { info } = page;
    this.camera = {
      scale: 1,
      row: info.rows / 2,
      column: info.columns / 2,
      aspect: info.pixel_aspect,
    };
    const { store } = page;
    store.on(["layers"], () => this.build());
    store.on(["frame", "contrast", "map", "gamma", "projection"], () => this.load());
    store.on(
      [
        "outlines",
        "colourBy",
        "selected",
        "chosen",
        "pixel",
        "events",
        "theme",
        "preview",
        "regions",
        "showRegions",
      ],
      () => this.redraw(),
    );
    new ResizeObserver(() => this.redraw()).observe(find("#views"));
    this.build();
  }

  build() {
    const { page } = this;
    const shown = page.store
      .get()
      .layers.map((key) => page.layer(key))
      .filter(Boolean);
    const views = this;
    const actions = {
      get tool() {
        return views.tool;
      },
      decorate: (context, view, place) => drawScaleBar(context, page, view, place),
      click: (pixel, event) => page.clickPixel(pixel, event.shiftKey),
      hover: (pixel, view) => {
        this.pointer = null;
        this.read(pixel, view);
      },
      move: (place) => {
        Object.assign(this.camera, place);
        this.redraw();
      },
      reset: () => this.reset(),
      zoom: (factor, at) => this.zoom(factor, at),
    };
    this.views = shown.map(
      (layer) => new View(layer, [page.info.rows, page.info.columns], this.camera, actions),
    );
    const box = find("#views");
    box.dataset.count = this.views.length;
    fill(
      box,
      this.views.map((view) => view.element),
    );
    this.load();
  }

  reset() {
    Object.assign(this.camera, {
      scale: 1,
      row: this.page.info.rows / 2,
      column: this.page.info.columns / 2,
    });
    this.redraw();
  }

  zoom(factor, at) {
    const { camera } = this;
    const scale = Math.min(Math.max(camera.scale * factor, 0.5), 60);
    const change = camera.scale / scale;
    if (at) {
      camera.row = at.row + 0.5 + (camera.row - at.row - 0.5) * change;
      camera.column = at.column + 0.5 + (camera.column - at.column - 0.5) * change;
    }
    camera.scale = scale;
    this.redraw();
  }

  /** Fetch what the cursor is on, then draw all pictures at once; `full`: every pixel. */
  async load(full = false) {
    const { page } = this;
    const { frame, projection, map, gamma, playing } = page.store.get();
    const ticket = (this.ticket = (this.ticket || 0) + 1);
    try {
      const steps = this.views.map((view) =>
        projection === "none" && !full ? view.wantedStep() : 1,
      );
      const found = await Promise.all(
        this.views.map((view, i) => this.grey(view.layer.key, frame, projection, steps[i])),
      );
      if (ticket !== this.ticket) return false;
      this.views.forEach((view, i) => view.show(found[i], map, gamma, steps[i]));
      this.shown = frame;
      this.redraw();
      if (!playing && projection === "none") this.readAhead(frame, steps);
    } catch (error) {
      complain(error);
    }
    return true;
  }

  /** Ask for the next frames, so that a step finds them here. */
  async readAhead(frame, steps, ahead = 4) {
    for (const [i, view] of this.views.entries()) {
      const contrast = await this.page.contrastOf(view.layer.key);
      this.page.frames.readAhead(
        view.layer.key,
        contrast,
        frame,
        steps ? steps[i] : view.wantedStep(),
        ahead,
      );
    }
  }

  async grey(layer, frame, projection, step) {
    if (projection !== "none") {
      this.projections ||= new Map();
      const key = `${layer}|${projection}`;
      if (!this.projections.has(key))
        this.projections.set(
          key,
          getBytes(`${this.page.base}/projection`, { layer, kind: projection }),
        );
      return this.projections.get(key);
    }
    return this.page.frames.frame(layer, await this.page.contrastOf(layer), frame, step);
  }

  redraw() {
    if (this.asked) return;
    this.asked = true;
    requestAnimationFrame(() => {
      this.asked = false;
      // zoomed in, or the window is larger: more pixels are needed
      if (
        this.shown !== undefined &&
        this.page.store.get().projection === "none" &&
        this.views.some((view) => view.wantedStep() < view.step)
      )
        this.load();
      for (const view of this.views)
        view.draw((context, scale) => drawOverlay(context, this.page, view, scale));
    });
  }

  /** Move the pointer of the keyboard by rows and columns; it begins in the middle. */
  movePointer([rows, columns]) {
    const { info } = this.page;
    const { row, column } = this.pointer || {
      row: Math.floor(this.camera.row),
      column: Math.floor(this.camera.column),
    };
    this.pointer = {
      row: Math.min(Math.max(row + rows, 0), info.rows - 1),
      column: Math.min(Math.max(column + columns, 0), info.columns - 1),
    };
    this.tool?.move(this.pointer);
    this.read(this.pointer, this.views[0]);
    this.redraw();
  }

  /** Press at the pointer of the keyboard, as a click of the mouse does. */
  press(add = false) {
    const { pointer, tool } = this;
    if (!pointer) return this.movePointer([0, 0]);
    const button = { altKey: false, button: 0 };
    if (!tool) this.page.clickPixel(pointer, add);
    else if (!tool.drags) {
      tool.down(pointer, button);
      tool.up(pointer, button);
    } else if (this.pressed) {
      this.pressed = false;
      tool.up(pointer, button);
    } else this.pressed = tool.down(pointer, button);
    return this.redraw();
  }

  read(pixel, view) {
    for (const other of this.views) {
      other.reading.hidden = !pixel;
      if (pixel) other.reading.textContent = `row ${pixel.row}  column ${pixel.column}`;
    }
    this.hovered = pixel && view ? { ...pixel, view } : null;
  }
}

/** Contrast of a layer as the server suggests it. */
export async function suggestContrast(page, layer, low = 0.5, high = 99.8) {
  return getJSON(`${page.base}/contrast`, { layer, low, high });
}
