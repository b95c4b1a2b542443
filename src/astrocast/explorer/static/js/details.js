// One event: its properties with units, its voxels per frame, its neighbours.
import { getJSON } from "./api.js";
import { cssColour, fill, fitCanvas, h } from "./dom.js";
import { formatNumber, formatTime } from "./format.js";
import { complain } from "./messages.js";
import { rankOf } from "./table.js";

const MOST = 12;

export function createDetails(page) {
  const { store } = page;
  const box = h("div.block");
  const none = () =>
    fill(
      box,
      h("h2", {}, "No event selected"),
      h("div.soft", {}, "Click an outline, a bar of the timeline or a line of the table."),
    );

  async function show() {
    const { selected } = store.get();
    if (!selected) {
      none();
      page.place = [];
      store.set({ place: null });
      return;
    }
    const late = setTimeout(() => {
      if (selected === store.get().selected)
        fill(box, h("h2", {}, `Event ${selected}`), h("div.soft", {}, "loading …"));
    }, 200);
    try {
      const found = await getJSON(`${page.base}/events/${selected}`);
      if (found.event !== store.get().selected) return;
      page.place = found.same_place;
      store.set({ place: found.event + "/" + page.eventsVersion });
      draw(found);
    } catch (error) {
      // an event that was split or merged meanwhile is not asked for any more
      if (selected === store.get().selected) complain(error);
    } finally {
      clearTimeout(late);
    }
  }

  function draw(found) {
    const go = (event) => () => page.selectEvent(event, { go: true });
    const at = found.same_place.indexOf(found.event) + 1;
    const spark = h("canvas.spark", { title: "Voxels per frame" });
    const few = found.properties
      .filter(
        ({ name, value }) =>
          rankOf(name) >= 0 && name !== "z0" && name !== "z1" && value !== null && value !== "",
      )
      .sort((a, b) => rankOf(a.name) - rankOf(b.name))
      .slice(0, MOST);
    const facts = (list) =>
      h(
        "div.facts",
        {},
        list.map(({ name, value, unit, description }) =>
          h(
            "div",
            { title: description },
            h("span", {}, name),
            h("b", {}, `${formatNumber(value)}${unit ? ` ${unit}` : ""}`),
          ),
        ),
      );
    const clock = formatTime(found.z0, page.info.frame_rate);
    fill(
      box,
      h(
        "h2",
        {},
        dot(page.colourOf(found.event)),
        `Event ${found.event}`,
        h("span.soft", {}, `frames ${found.z0}–${found.z1 - 1}${clock ? ` · ${clock}` : ""}`),
        h("span.grow"),
        h(
          "button",
          {
            disabled: found.previous === null,
            onclick: go(found.previous),
            title: "Previous event at this place (,)",
          },
          "‹",
        ),
        h("span.soft", {}, `${at}/${found.same_place.length} here`),
        h(
          "button",
          {
            disabled: found.next === null,
            onclick: go(found.next),
            title: "Next event at this place (.)",
          },
          "›",
        ),
      ),
      facts(few),
      spark,
      h("div.soft", {}, `voxels per frame, at most ${Math.max(...found.voxels)}`),
      found.sharing.length
        ? h(
            "div.row",
            {},
            h("span.soft", {}, "shares voxels with"),
            found.sharing.map(({ event, voxels }) =>
              h("button.chip", { onclick: go(event) }, `${event}: ${voxels}`),
            ),
          )
        : null,
      h("details", {}, h("summary", {}, "All properties"), facts(found.properties)),
    );
    drawSpark(spark, found);
  }

  function drawSpark(canvas, { voxels, z0 }) {
    const context = fitCanvas(canvas);
    const { clientWidth: width, clientHeight: height } = canvas;
    const most = Math.max(...voxels);
    const wide = Math.min(width / voxels.length, 14);
    voxels.forEach((count, i) => {
      context.fillStyle = cssColour(z0 + i === store.get().frame ? "--cursor" : "--plot-1");
      context.fillRect(
        i * wide,
        height - (count / most) * (height - 2),
        Math.max(1, wide - 1),
        (count / most) * (height - 2),
      );
    });
  }

  store.on(["selected", "events"], show);
  none();
  return { box };
}

function dot(colour) {
  const mark = h("i");
  mark.style.cssText = "width:.8rem;height:.8rem;border-radius:50%;display:inline-block";
  mark.style.background = colour;
  return mark;
}
