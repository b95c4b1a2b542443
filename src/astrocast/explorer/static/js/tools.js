// Tools for the pointer in a picture: draw lines, polygons, boxes, brush strokes.
// `drags`: the pointer is pressed at one place and released at another.
// Points are in units of pixels; the centre of the first pixel is (0.5, 0.5).
import { say } from "./messages.js";

const corner = ({ row, column }) => ({ row: row + 0.5, column: column + 0.5 });

function stroke(context, points, scale, close) {
  if (!points.length) return;
  context.beginPath();
  points.forEach(({ row, column }, i) =>
    i ? context.lineTo(column, row) : context.moveTo(column, row),
  );
  if (close) context.closePath();
  for (const [colour, width] of [
    ["rgba(0, 0, 0, .6)", 4],
    ["#ffffff", 2],
  ]) {
    context.strokeStyle = colour;
    context.lineWidth = width / scale.y;
    context.stroke();
  }
  context.fillStyle = "#ffffff";
  for (const { row, column } of points)
    context.fillRect(column - 3 / scale.x, row - 3 / scale.y, 6 / scale.x, 6 / scale.y);
}

/** Drag from one point to another: `draw` gets [begin, end] meanwhile, `done` at the end. */
function dragTool(page, hint, draw, done) {
  let points = [];
  say(hint);
  return {
    drags: true,
    down(point) {
      points = [corner(point), corner(point)];
      return true;
    },
    move(point) {
      if (!points.length) return false;
      points[1] = corner(point);
      page.views.redraw();
      return true;
    },
    up() {
      if (!points.length) return false;
      const found = points;
      page.useTool(null);
      done(found);
      return true;
    },
    draw(context, scale) {
      if (points.length) draw(context, points, scale);
    },
    cancel() {
      page.useTool(null);
    },
  };
}

/** Drag from one point to another; `done([begin, end])`. */
export function lineTool(page, hint, done) {
  return dragTool(page, hint, stroke, ([begin, end]) => {
    if (Math.hypot(begin.row - end.row, begin.column - end.column) > 0.5) done([begin, end]);
  });
}

/** Click points; a double-click or Enter ends; `done(points)`. */
export function polygonTool(page, hint, done) {
  const points = [];
  let next = null;
  say(hint);
  function finish() {
    page.useTool(null);
    if (points.length >= 3) done(points);
    else say("A polygon needs at least three points.", { error: true });
    return true;
  }
  return {
    down(point) {
      const at = corner(point);
      const last = points[points.length - 1];
      if (!last || Math.hypot(at.row - last.row, at.column - last.column) > 0.3) points.push(at);
      page.views.redraw();
      return true;
    },
    move(point) {
      next = corner(point);
      page.views.redraw();
      return true;
    },
    up() {
      return true;
    },
    finish,
    draw(context, scale) {
      stroke(context, next ? [...points, next] : points, scale, points.length > 1);
    },
    cancel() {
      page.useTool(null);
    },
  };
}

/** Click one point; `done(point)`. */
export function pointTool(page, hint, done) {
  say(hint);
  return {
    down() {
      return true;
    },
    move() {
      return false;
    },
    up(point) {
      page.useTool(null);
      done(corner(point));
      return true;
    },
    cancel() {
      page.useTool(null);
    },
  };
}

/** Drag a rectangle; `done({rows, columns})` in whole pixels. */
export function boxTool(page, hint, done) {
  const { info } = page;
  const ordered = (a, b, most) => [
    Math.max(0, Math.floor(Math.min(a, b))),
    Math.min(most, Math.ceil(Math.max(a, b))),
  ];
  const box = ([a, b]) => ({
    rows: ordered(a.row, b.row, info.rows),
    columns: ordered(a.column, b.column, info.columns),
  });
  const draw = (context, points, scale) => {
    const { rows, columns } = box(points);
    const corners = [
      { row: rows[0], column: columns[0] },
      { row: rows[0], column: columns[1] },
      { row: rows[1], column: columns[1] },
      { row: rows[1], column: columns[0] },
    ];
    stroke(context, corners, scale, true);
  };
  return dragTool(page, hint, draw, (points) => done(box(points)));
}

/** Paint with a round brush until the tool is left; `done(path, erase)` after a stroke. */
export function brushTool(page, hint, radius, done) {
  let path = null;
  let at = null;
  let erase = false;
  say(hint);
  return {
    drags: true,
    down(point, event) {
      erase = event.altKey || event.button === 2;
      path = [corner(point)];
      return true;
    },
    move(point) {
      at = corner(point);
      if (path) path.push(at);
      page.views.redraw();
      return path !== null;
    },
    up() {
      if (!path) return false;
      const found = path;
      path = null;
      done(found, erase);
      return true;
    },
    draw(context, scale) {
      if (path) {
        context.strokeStyle = erase ? "rgba(255, 120, 120, .5)" : "rgba(120, 220, 255, .5)";
        context.lineWidth = 2 * radius();
        context.lineCap = context.lineJoin = "round";
        context.beginPath();
        path.forEach(({ row, column }, i) =>
          i ? context.lineTo(column, row) : context.moveTo(column, row),
        );
        context.lineTo(path[path.length - 1].column + 0.01, path[path.length - 1].row);
        context.stroke();
      }
      if (at) {
        context.strokeStyle = "#ffffff";
        context.lineWidth = 1.5 / scale.y;
        context.beginPath();
        context.arc(at.column, at.row, radius(), 0, 7);
        context.stroke();
      }
    },
    cancel() {
      page.useTool(null);
    },
  };
}
