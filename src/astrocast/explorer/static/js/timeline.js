// Events over time (one bar each), and shift and agreement of each frame.
import { cssColour, find, fitCanvas, h, rem } from "./dom.js";
import { formatNumber } from "./format.js";

const MARK = {
  black: "#D55E00",
  repeated: "#CC79A7",
  saturated: "#E69F00",
  flash: "#F0E442",
  lost_lines: "#56B4E9",
  out_of_focus: "#009E73",
  jump: "#D55E00",
  low_agreement: "#CC79A7",
  missing: "#8B97A3",
  bad_frame: "#D55E00",
};

/** Width left of the plots, in pixels: the same for timeline and traces. */
export const gutter = () => 4.4 * rem();
export function frameScale(page, width) {
  const [first, last] = page.store.get().window;
  const [left, right] = [gutter(), width - 0.8 * rem()];
  const step = (right - left) / Math.max(1, last - first);
  return {
    x: (frame) => left + (frame - first) * step,
    frame: (x) => first + (x - left) / step,
    step,
  };
}

export function createTimeline(page) {
  const { store, info } = page;
  const canvas = h("canvas", { "aria-label": "Events over time; click to select one" });
  const tip = h("div.popover", { hidden: true });
  tip.style.width = "auto";
  tip.style.pointerEvents = "none";
  find("#timeline").append(canvas, tip);
  let asked = false;
  let rows = [];

  function redraw() {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => {
      asked = false;
      draw();
    });
  }

  function lanes(height) {
    const motion = page.registration ? Math.min(2.3 * rem(), height * 0.2) : 0;
    return {
      raster: [0.3 * rem(), height - 2 * motion - 0.3 * rem()],
      shift: [height - 2 * motion, height - motion - 2],
      agreement: [height - motion, height - 4],
    };
  }

  function draw() {
    const context = fitCanvas(canvas);
    const { clientWidth: width, clientHeight: height } = canvas;
    const scale = frameScale(page, width);
    const lane = lanes(height);
    context.clearRect(0, 0, width, height);
    context.font = `${0.78 * rem()}px system-ui, sans-serif`;
    context.save();
    context.beginPath();
    context.rect(gutter() - 1, 0, width, height);
    context.clip();
    drawRaster(context, scale, lane.raster);
    if (page.registration) drawRegistration(context, scale, lane);
    context.fillStyle = cssColour("--cursor");
    context.fillRect(scale.x(store.get().frame) - 1, 0, 2, height);
    context.restore();
    label(context, String(rows.length), lane.raster, "events");
    if (page.registration) {
      label(context, "shift", lane.shift, `±${formatNumber(page.registration.largest)} px`);
      label(context, "agree", lane.agreement, "0–1");
    }
  }

  function label(context, text, [top, bottom], more) {
    context.textAlign = "right";
    context.fillStyle = cssColour("--text");
    const middle = (top + bottom) / 2 + 0.28 * rem() - (more ? 0.4 * rem() : 0);
    context.fillText(text, gutter() - 7, middle);
    if (!more) return;
    context.fillStyle = cssColour("--soft");
    context.fillText(more, gutter() - 7, middle + 0.85 * rem());
  }

  function drawRaster(context, scale, [top, bottom]) {
    rows = page.rasterRows();
    const { selected, chosen } = store.get();
    const tall = rows.length ? (bottom - top) / rows.length : 0;
    rows.forEach(({ event, z0, z1 }, i) => {
      const strong = event === selected || chosen.has(event);
      const [x, y] = [scale.x(z0 - 0.5), top + i * tall];
      const wide = Math.max(2, scale.x(z1 - 0.5) - x);
      context.globalAlpha = page.statusOf(event) === "rejected" ? 0.35 : 1;
      context.fillStyle = page.colourOf(event);
      context.fillRect(x, y, wide, Math.max(1.2, Math.min(tall * 0.85, 9)));
      context.globalAlpha = 1;
      if (strong) {
        context.strokeStyle = cssColour("--text");
        context.lineWidth = 1.6;
        context.strokeRect(x - 2, y - 2, wide + 4, Math.max(3, Math.min(tall * 0.85, 9)) + 4);
      }
    });
  }

  function drawRegistration(context, scale, lane) {
    const { registration } = page;
    const shifts = [-registration.largest, registration.largest];
    line(context, scale, lane.shift, registration.rows, shifts, "--plot-1");
    line(context, scale, lane.shift, registration.columns, shifts, "--plot-3");
    line(context, scale, lane.agreement, registration.agreement, [0, 1], "--plot-4");
    const [top, bottom] = [lane.shift[0], lane.agreement[1]];
    const width = Math.max(2, scale.step);
    for (const mark of registration.marks) {
      context.fillStyle = MARK[mark.kind] || cssColour("--bad");
      const x = scale.x(mark.frame) - 1;
      context.fillRect(x, top - 4, width, 4);
      context.globalAlpha = 0.18;
      context.fillRect(x, top, width, bottom - top);
      context.globalAlpha = 1;
    }
  }

  function line(context, scale, [top, bottom], values, [low, high], colour) {
    if (!values) return;
    context.strokeStyle = cssColour(colour);
    context.lineWidth = 1.2;
    context.beginPath();
    let begun = false;
    values.forEach((value, frame) => {
      if (value === null) {
        begun = false;
        return;
      }
      const y = bottom - ((value - low) / (high - low || 1)) * (bottom - top);
      if (begun) context.lineTo(scale.x(frame), y);
      else context.moveTo(scale.x(frame), y);
      begun = true;
    });
    context.stroke();
  }

  function under(event) {
    const box = canvas.getBoundingClientRect();
    const [top, bottom] = lanes(canvas.clientHeight).raster;
    const frame = Math.round(frameScale(page, canvas.clientWidth).frame(event.clientX - box.left));
    const y = event.clientY - box.top;
    const near = Math.floor(((y - top) / (bottom - top)) * rows.length);
    const slack = Math.max(2, 0.01 * (store.get().window[1] - store.get().window[0]));
    const reach = Math.max(1, Math.ceil((4 * rows.length) / (bottom - top)));
    for (let off = 0; off <= reach; off += 1) {
      for (const index of [near - off, near + off]) {
        const row = rows[index];
        if (row && frame >= row.z0 - slack && frame <= row.z1 + slack) return { frame, row };
      }
    }
    return { frame, row: null };
  }

  canvas.addEventListener("click", (event) => {
    const { frame, row } = under(event);
    if (row) page.selectEvent(row.event, { add: event.shiftKey, go: true });
    else page.player.go(frame);
  });
  canvas.addEventListener("pointermove", (event) => {
    const { frame, row } = under(event);
    const at = page.registration;
    const lines = [];
    const marks = (at?.marks || []).filter((mark) => mark.frame === frame);
    if (frame >= 0 && frame < info.frames) {
      lines.push(`frame ${frame}`);
      if (row) lines.push(`event ${row.event}: frames ${row.z0} to ${row.z1 - 1}`);
      if (at)
        lines.push(
          `shift: rows ${formatNumber(at.rows[frame])} px, columns ${formatNumber(at.columns[frame])} px`,
        );
      if (at?.agreement)
        lines.push(`agreement with the template ${formatNumber(at.agreement[frame])}`);
      for (const { kind, reason } of marks) lines.push(`${kind.replaceAll("_", " ")}: ${reason}`);
    }
    tip.hidden = !lines.length;
    tip.replaceChildren(...lines.map((text) => h("div.soft", {}, text)));
    const box = canvas.getBoundingClientRect();
    const x = event.clientX - box.left;
    tip.style.left = x > box.width * 0.65 ? "auto" : `${x + 12}px`;
    tip.style.right = x > box.width * 0.65 ? `${box.width - x + 12}px` : "auto";
    tip.style.top = "2px";
  });
  canvas.addEventListener("pointerleave", () => {
    tip.hidden = true;
  });
  canvas.addEventListener(
    "wheel",
    (event) => {
      event.preventDefault();
      page.zoomTime(Math.exp(event.deltaY * 0.0015), under(event).frame);
    },
    { passive: false },
  );
  canvas.addEventListener("dblclick", () => store.set({ window: [0, info.frames - 1] }));

  store.on(
    [
      "frame",
      "events",
      "colourBy",
      "selected",
      "chosen",
      "window",
      "theme",
      "registration",
      "filters",
    ],
    redraw,
  );
  new ResizeObserver(redraw).observe(canvas);
  return { redraw };
}
