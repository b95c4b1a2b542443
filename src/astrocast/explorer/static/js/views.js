// All pictures: the layers that are shown, at one time cursor.
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
    this.pointer = null; // place that keys move; null while the mouse is used
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

  /** Load the frame at the cursor, then show all pictures at once; errors become messages. */
  async load() {
    try {
      await this.loadPixels(false);
    } catch (error) {
      complain(error);
    }
  }

  /**
   * Load the frame at the cursor and show it, with every pixel if `full`.
   * Return whether it is shown: false if a later call replaced this one.
   */
  async loadPixels(full) {
    const { frame, projection, map, gamma, playing } = this.page.store.get();
    const ticket = (this.ticket = (this.ticket || 0) + 1);
    const { views } = this;
    const isReduced = projection === "none" && !full;
    const steps = views.map((view) => (isReduced ? view.wantedStep() : 1));
    let found;
    try {
      found = await Promise.all(
        views.map((view, i) => this.grey(view.layer.key, frame, projection, steps[i])),
      );
    } catch (error) {
      if (ticket !== this.ticket) return false;
      throw error;
    }
    if (ticket !== this.ticket) return false;
    views.forEach((view, i) => view.show(found[i], map, gamma, steps[i]));
    this.shown = frame;
    this.redraw();
    if (!playing && projection === "none") this.readAhead(frame, steps).catch(() => {});
    return true;
  }

  /** Draw the frame at the cursor with its outlines, for a file; return the frame. */
  async drawCompletely(full = false) {
    const { page } = this;
    page.store.set({ playing: false });
    for (;;) {
      const isShown = await this.loadPixels(full);
      const frame = this.shown;
      const { outlines, projection } = page.store.get();
      if (outlines === "footprints" || projection !== "none") await page.outlines.loadFootprints();
      else if (outlines === "active") await page.outlines.loadFrame(frame);
      // while it was loaded, the user may have moved the cursor
      if (isShown && frame === this.shown && frame === page.store.get().frame) {
        this.draw();
        return frame;
      }
    }
  }

  /** Request the next frames, so that they are here at the next step. */
  async readAhead(frame, steps, ahead = 4) {
    for (const [i, view] of this.views.entries()) {
      const { key } = view.layer;
      const step = steps ? steps[i] : view.wantedStep();
      this.page.frames.readAhead(key, await this.page.contrastOf(key), frame, step, ahead);
    }
  }

  /** Return the grey values of a frame, or of a projection. */
  async grey(layer, frame, projection, step) {
    if (projection === "none") {
      return this.page.frames.frame(layer, await this.page.contrastOf(layer), frame, step);
    }
    this.projections ||= new Map();
    const key = `${layer}|${projection}`;
    if (!this.projections.has(key)) {
      const request = getBytes(`${this.page.base}/projection`, { layer, kind: projection });
      request.catch(() => this.projections.delete(key)); // the next call requests it again
      this.projections.set(key, request);
    }
    return this.projections.get(key);
  }

  /** Draw all pictures at the next refresh of the screen. */
  redraw() {
    if (this.asked) return;
    this.asked = true;
    requestAnimationFrame(() => {
      this.asked = false;
      if (this.needsPixels()) this.load();
      this.draw();
    });
  }

  /** Return whether the screen can show more pixels than were loaded. */
  needsPixels() {
    if (this.shown === undefined || this.page.store.get().projection !== "none") return false;
    return this.views.some((view) => view.wantedStep() < view.step);
  }

  draw() {
    for (const view of this.views) {
      view.draw((context, scale) => drawOverlay(context, this.page, view, scale));
    }
  }

  /** Move the pointer of the keyboard by rows and columns; it starts in the middle. */
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

  /** Press at the pointer of the keyboard, like a click of the mouse. */
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

/** Return histogram and contrast of a layer: the signal at two percentiles. */
export async function suggestContrast(page, layer, low = 0.5, high = 99.8) {
  return getJSON(`${page.base}/contrast`, { layer, low, high });
}
