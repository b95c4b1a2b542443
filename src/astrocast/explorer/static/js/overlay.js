// Drawing over a picture: outlines, the clicked pixel, regions, the scale bar.
import { CHANGES } from "./colours.js";
import { formatNumber, roundLength } from "./format.js";
import { rem } from "./dom.js";
import { shownOutlines } from "./picture.js";

/** Draw in units of pixels of the recording. */
export function drawOverlay(context, page, view, scale) {
  const { outlines, selected, chosen, pixel, preview } = page.store.get();
  // of the picture that is shown, while the frame at the cursor is loaded
  const frame = page.views?.shown ?? page.store.get().frame;
  const thin = (1.4 * rem()) / 13 / scale.y;
  context.lineCap = "square";
  if (preview) drawPreview(context, page, preview, frame, thin);
  else if (outlines !== "off") {
    for (const { event, path } of shownOutlines(page, frame)) {
      if (page.rowOf(event) === undefined || !page.isShown(event)) continue;
      const width = event === selected || chosen.has(event) ? 2 * thin : thin;
      const isDashed = page.statusOf(event) === "rejected";
      stroke(context, path, page.colourOf(event), width, isDashed);
    }
    const own = selected && page.outlines.footprints().find((item) => item.event === selected);
    if (own && page.isShown(selected)) stroke(context, own.path, "#ffffff", thin, true);
  }
  page.drawRegions?.(context, view, scale);
  if (pixel) drawCross(context, pixel, thin);
  page.views?.tool?.draw?.(context, scale);
  if (page.views?.pointer) drawPointer(context, page.views.pointer, thin);
}

function stroke(context, path, colour, width, dashed = false) {
  context.setLineDash(dashed ? [3 * width, 3 * width] : []);
  context.lineWidth = 2.1 * width;
  context.strokeStyle = "rgba(0, 0, 0, .45)";
  context.stroke(path);
  context.lineWidth = width;
  context.strokeStyle = colour;
  context.stroke(path);
  context.setLineDash([]);
}

function drawPreview(context, page, preview, frame, width) {
  context.lineWidth = width;
  context.strokeStyle = "#ffffff";
  context.setLineDash([4 * width, 4 * width]);
  const [r0, r1] = preview.rows;
  const [c0, c1] = preview.columns;
  context.strokeRect(c0, r0, c1 - c0, r1 - r0);
  context.setLineDash([]);
  for (const { kind, path } of preview.outlinesAt(frame))
    stroke(context, path, CHANGES[kind], 1.3 * width, kind === "lost");
}

function drawCross(context, { row, column }, width) {
  context.lineWidth = width;
  context.strokeStyle = "#ffffff";
  context.strokeRect(column, row, 1, 1);
  context.beginPath();
  for (const [dr, dc] of [
    [-1, 0],
    [1, 0],
    [0, -1],
    [0, 1],
  ]) {
    context.moveTo(column + 0.5 + dc * 5 * width, row + 0.5 + dr * 5 * width);
    context.lineTo(column + 0.5 + dc * 12 * width, row + 0.5 + dr * 12 * width);
  }
  context.stroke();
}

/** Draw the pointer of the keyboard: a cross that is visible on light and dark pixels. */
function drawPointer(context, { row, column }, width) {
  const arm = 9 * width;
  context.beginPath();
  context.moveTo(column + 0.5 - arm, row + 0.5);
  context.lineTo(column + 0.5 + arm, row + 0.5);
  context.moveTo(column + 0.5, row + 0.5 - arm);
  context.lineTo(column + 0.5, row + 0.5 + arm);
  for (const [colour, wide] of [
    ["#000000", 3.2],
    ["#ffe66d", 1.4],
  ]) {
    context.strokeStyle = colour;
    context.lineWidth = wide * width;
    context.stroke();
  }
}

/** Draw a bar of a round length, in µm if the pixel size is known. */
export function drawScaleBar(context, page, view, place) {
  const { clientWidth: width, clientHeight: height } = view.canvas;
  const size = page.info.pixel_size;
  const unit = size ? "µm" : "px";
  const pixels = place.y / (size || 1);
  const length = roundLength((0.22 * width) / pixels);
  const [bar, font, edge] = [length * pixels, 0.85 * rem(), 0.8 * rem()];
  context.font = `600 ${font}px system-ui, sans-serif`;
  const text = `${formatNumber(length)} ${unit}`;
  const wide = Math.max(bar, context.measureText(text).width) + edge;
  context.fillStyle = "rgba(0, 0, 0, .5)";
  context.fillRect(width - wide - edge / 2, height - font - 1.7 * edge, wide, font + 1.3 * edge);
  context.fillStyle = "#ffffff";
  context.fillRect(width - edge - bar, height - edge - 2, bar, 3);
  context.textAlign = "right";
  context.fillText(text, width - edge, height - edge - 7);
}
