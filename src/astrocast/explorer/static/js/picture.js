// The picture as SVG: the frame as an image, outlines and scale bar as lines.
import { formatNumber, roundLength } from "./format.js";

const escape = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");

export function pictureSVG(page, view) {
  const { rows, columns, pixel_size: size } = page.info;
  const { frame, outlines, projection } = page.store.get();
  const list =
    outlines === "off"
      ? []
      : outlines === "footprints" || projection !== "none"
        ? page.outlines.footprints()
        : page.outlines.frame(frame) || [];
  const lines = list
    .filter(({ event }) => page.isShown(event))
    .map(({ event, values }) => {
      let path = "";
      for (let i = 0; i < values.length; i += 4)
        path += `M${values[i + 1]} ${values[i]}L${values[i + 3]} ${values[i + 2]}`;
      return `<path d="${path}" stroke="${page.colourOf(event)}"><title>event ${event}</title></path>`;
    });
  const length = roundLength(0.22 * columns * (size || 1));
  const bar = length / (size || 1);
  const unit = Math.max(rows, columns) / 100;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${columns} ${rows}" width="${8 * columns}" height="${8 * rows}">
<title>${escape(page.info.title)}, ${escape(view.layer.title)}, frame ${frame}</title>
<image href="${view.image.toDataURL("image/png")}" width="${columns}" height="${rows}" style="image-rendering:pixelated"/>
<g fill="none" stroke-width="${0.35 * unit}">${lines.join("\n")}</g>
<rect x="${columns - bar - 3 * unit}" y="${rows - 4 * unit}" width="${bar}" height="${unit}" fill="#fff"/>
<text x="${columns - 3 * unit}" y="${rows - 5 * unit}" fill="#fff" text-anchor="end" font-family="sans-serif" font-size="${4 * unit}">${formatNumber(length)} ${size ? "µm" : "px"}</text>
</svg>\n`;
}
