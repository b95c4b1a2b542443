// One picture: a frame of a layer with outlines; zoom, move, click.
import { fitCanvas, h } from "./dom.js";
import { lookupTable } from "./colours.js";

/** A panel with the frames of one layer. All panels share `camera`. */
export class View {
  constructor(layer, shape, camera, actions) {
    this.layer = layer;
    [this.rows, this.columns] = shape;
    this.camera = camera;
    this.actions = actions;
    this.canvas = h("canvas", {
      tabIndex: 0,
      "aria-label": `${layer.title}: click a pixel or an event`,
    });
    this.reading = h("div.reading", { hidden: true });
    this.label = h(
      "div.name",
      {},
      layer.title,
      layer.channel !== "ch0" ? h("small", {}, layer.channel) : null,
      layer.note ? h("small", {}, layer.note) : null,
    );
    this.loading = h("div.loading", {}, "loading …");
    this.element = h("div.view", {}, this.canvas, this.loading, this.label, this.reading);
    this.element.dataset.layer = layer.key;
    this.image = document.createElement("canvas");
    this.resize(1);
    this.listen();
  }

  /** Set the size of the picture, in which each pixel is step x step pixels of the frame. */
  resize(step) {
    this.step = step;
    this.image.width = Math.ceil(this.columns / step);
    this.image.height = Math.ceil(this.rows / step);
    this.pixels = this.image.getContext("2d").createImageData(this.image.width, this.image.height);
  }

  /** Return how many pixels of the frame lie along a side of a screen pixel: 1, 2, 4 ... */
  wantedStep() {
    const { x, y } = this.place();
    const ratio = window.devicePixelRatio || 1;
    let step = 1;
    while (x > 0 && step < 16 && 2 * step * Math.min(x, y) * ratio <= 1) step *= 2;
    return step;
  }

  /** Show grey values, uint8 (row, column). */
  show(grey, map, gamma, step = 1) {
    if (step !== this.step) this.resize(step);
    const table = lookupTable(map, gamma);
    const target = new Uint32Array(this.pixels.data.buffer);
    for (let i = 0; i < target.length; i += 1) target[i] = table[grey[i]];
    this.image.getContext("2d").putImageData(this.pixels, 0, 0);
    this.grey = grey;
    this.loading.remove();
  }

  /** Return the size of a pixel on the screen, and the corner of the picture. */
  place() {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    const { scale, row, column, aspect } = this.camera;
    const fit = Math.min(width / (this.columns * aspect), height / this.rows);
    const y = fit * scale;
    const x = y * aspect;
    return { x, y, left: width / 2 - column * x, top: height / 2 - row * y };
  }

  draw(overlay) {
    const context = fitCanvas(this.canvas);
    const { x, y, left, top } = this.place();
    context.clearRect(0, 0, this.canvas.clientWidth, this.canvas.clientHeight);
    // pixels smaller than screen pixels are averaged, larger pixels stay sharp squares
    context.imageSmoothingEnabled = this.step * Math.min(x, y) * (window.devicePixelRatio || 1) < 1;
    context.imageSmoothingQuality = "medium";
    context.drawImage(
      this.image,
      left,
      top,
      this.image.width * this.step * x,
      this.image.height * this.step * y,
    );
    context.save();
    context.translate(left, top);
    context.scale(x, y);
    overlay(context, { x, y });
    context.restore();
    this.actions.decorate(context, this, { x, y, left, top });
  }

  /** Return row and column at a pointer; whole numbers are centres of pixels. */
  at(event) {
    const box = this.canvas.getBoundingClientRect();
    const { x, y, left, top } = this.place();
    return {
      row: (event.clientY - box.top - top) / y - 0.5,
      column: (event.clientX - box.left - left) / x - 0.5,
    };
  }

  inside({ row, column }) {
    const [r, c] = [Math.round(row), Math.round(column)];
    return r >= 0 && c >= 0 && r < this.rows && c < this.columns ? { row: r, column: c } : null;
  }

  listen() {
    let start = null;
    this.canvas.addEventListener("pointerdown", (event) => {
      const point = this.at(event);
      if (this.actions.tool?.down(point, event, this)) {
        this.canvas.setPointerCapture(event.pointerId);
        return;
      }
      start = {
        x: event.clientX,
        y: event.clientY,
        row: this.camera.row,
        column: this.camera.column,
        moved: false,
      };
      this.canvas.setPointerCapture(event.pointerId);
    });
    this.canvas.addEventListener("pointermove", (event) => {
      const point = this.at(event);
      if (this.actions.tool?.move(point, event, this)) return;
      if (start) {
        const { x, y } = this.place();
        const [right, down] = [event.clientX - start.x, event.clientY - start.y];
        start.moved ||= Math.hypot(right, down) > 4;
        if (start.moved)
          this.actions.move({ row: start.row - down / y, column: start.column - right / x });
      }
      this.actions.hover(this.inside(point), this);
    });
    this.canvas.addEventListener("pointerup", (event) => {
      const point = this.at(event);
      if (this.actions.tool?.up(point, event, this)) {
        start = null;
        return;
      }
      const pixel = this.inside(point);
      if (start && !start.moved && pixel) this.actions.click(pixel, event, this);
      start = null;
    });
    this.canvas.addEventListener("pointerleave", () => this.actions.hover(null, this));
    this.canvas.addEventListener("dblclick", (event) => {
      if (!this.actions.tool?.finish?.(this.at(event))) this.actions.reset();
    });
    this.canvas.addEventListener(
      "wheel",
      (event) => {
        event.preventDefault();
        this.actions.zoom(Math.exp(-event.deltaY * 0.0015), this.at(event));
      },
      { passive: false },
    );
  }
}
