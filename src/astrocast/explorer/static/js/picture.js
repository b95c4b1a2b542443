// The picture as SVG: the frame is an image, outlines and scale bar are lines.
import { formatNumber, roundLength } from "./format.js";

const escapeText = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");

/** Return the outlines that are drawn over a frame. */
export function shownOutlines(page, frame) {
  const { outlines, projection } = page.store.get();
  if (outlines === "off") return [];
  const isWhole = outlines === "footprints" || projection !== "none";
  return isWhole ? page.outlines.footprints() : page.outlines.frame(frame) || [];
}

export function pictureSVG(page, view, frame) {
  const { rows, columns, pixel_size: size } = page.info;
  const lines = shownOutlines(page, frame)
    .filter(({ event }) => page.isShown(event))
    .map(({ event, values }) => outlinePath(event, values, page.colourOf(event)));
  const length = roundLength(0.22 * columns * (size || 1));
  const bar = length / (size || 1);
  const unit = Math.max(rows, columns) / 100;
  const space = `xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${columns} ${rows}"`;
  const title = [page.info.title, view.layer.title, `frame ${frame}`].map(escapeText).join(", ");
  const font = `font-family="sans-serif" font-size="${4 * unit}"`;
  return [
    `<svg ${space} width="${8 * columns}" height="${8 * rows}">`,
    `<title>${title}</title>`,
    `<image href="${view.image.toDataURL("image/png")}" width="${columns}" height="${rows}"`,
    ' style="image-rendering:pixelated"/>',
    `<g fill="none" stroke-width="${0.35 * unit}">${lines.join("\n")}</g>`,
    `<rect x="${columns - bar - 3 * unit}" y="${rows - 4 * unit}"`,
    ` width="${bar}" height="${unit}" fill="#fff"/>`,
    `<text x="${columns - 3 * unit}" y="${rows - 5 * unit}" fill="#fff" text-anchor="end" ${font}>`,
    `${formatNumber(length)} ${size ? "µm" : "px"}</text>`,
    "</svg>\n",
  ].join("\n");
}

/** Return the edges of an outline: each is a line between two corners of pixels. */
function outlinePath(event, values, colour) {
  let path = "";
  for (let i = 0; i < values.length; i += 4) {
    path += `M${values[i + 1]} ${values[i]}L${values[i + 3]} ${values[i + 2]}`;
  }
  return `<path d="${path}" stroke="${colour}"><title>event ${event}</title></path>`;
}
