// The selected event: properties with units, voxels per frame, neighbours.
import { getJSON } from "./api.js";
import { block, button, cssColour, fill, fitCanvas, h, note, row, soft, spacer } from "./dom.js";
import { formatNumber, formatTime } from "./format.js";
import { complain } from "./messages.js";
import { rankOf } from "./table.js";

/** Properties that are shown without opening the whole list. */
const MOST = 12;
const NONE = "Click an outline, a bar below the movie, or a row of the table.";

export function createDetails(page) {
  const { store } = page;
  const box = block(null);
  let shown = null; // the event and its canvas

  function showNothing() {
    shown = null;
    fill(box, h("h2", {}, "No event selected"), note(NONE));
  }

  async function show() {
    const { selected } = store.get();
    const ticket = (show.ticket = (show.ticket || 0) + 1);
    const isCurrent = () => ticket === show.ticket && selected === store.get().selected;
    if (!selected) {
      showNothing();
      page.place = [];
      store.set({ place: null });
      return;
    }
    const late = setTimeout(() => {
      if (isCurrent()) fill(box, h("h2", {}, `Event ${selected}`), note("loading …"));
    }, 200);
    try {
      const found = await getJSON(`${page.base}/events/${selected}`);
      if (!isCurrent()) return;
      page.place = found.same_place;
      store.set({ place: `${found.event}/${page.eventsVersion}` });
      showEvent(found);
    } catch (error) {
      // the event may have been split or merged since the request
      if (isCurrent()) complain(error);
    } finally {
      clearTimeout(late);
    }
  }

  function showEvent(found) {
    const go = (event) => () => page.selectEvent(event, { go: true });
    const number = found.same_place.indexOf(found.event) + 1;
    const clock = formatTime(found.z0, page.info.frame_rate);
    const frames = `frames ${found.z0}–${found.z1 - 1}`;
    const sharing = found.sharing.map(({ event, voxels }) =>
      button(`${event}: ${voxels}`, go(event), { kind: "chip" }),
    );
    const canvas = h("canvas.spark", { title: "Voxels per frame" });
    fill(
      box,
      h(
        "h2",
        {},
        dot(page.colourOf(found.event)),
        `Event ${found.event}`,
        soft(clock ? `${frames} · ${clock}` : frames),
        spacer(),
        button("‹", go(found.previous), {
          disabled: found.previous === null,
          title: "Previous event at this place (,)",
        }),
        soft(`${number}/${found.same_place.length} here`),
        button("›", go(found.next), {
          disabled: found.next === null,
          title: "Next event at this place (.)",
        }),
      ),
      listFacts(chooseFacts(found.properties)),
      canvas,
      note(`voxels per frame, at most ${Math.max(...found.voxels)}`),
      sharing.length ? row(soft("shares voxels with"), sharing) : null,
      h("details", {}, h("summary", {}, "All properties"), listFacts(found.properties)),
    );
    shown = { canvas, found };
    drawVoxels();
  }

  /** Draw the number of voxels in each frame of the event; the current frame is marked. */
  function drawVoxels() {
    if (!shown) return;
    const { canvas, found } = shown;
    const { voxels, z0 } = found;
    const { frame } = store.get();
    const context = fitCanvas(canvas);
    const { clientWidth: width, clientHeight: height } = canvas;
    const most = Math.max(...voxels);
    const step = Math.min(width / voxels.length, 14);
    context.clearRect(0, 0, width, height);
    voxels.forEach((count, i) => {
      const tall = (count / most) * (height - 2);
      context.fillStyle = cssColour(z0 + i === frame ? "--cursor" : "--plot-1");
      context.fillRect(i * step, height - tall, Math.max(1, step - 1), tall);
    });
  }

  store.on(["selected", "events"], show);
  store.on(["frame", "theme"], drawVoxels);
  showNothing();
  return { box };
}

/** Return the properties that are needed most often, in the order of the table. */
function chooseFacts(properties) {
  const isGiven = ({ name, value }) => rankOf(name) >= 0 && value !== null && value !== "";
  return properties
    .filter((property) => isGiven(property) && !["z0", "z1"].includes(property.name))
    .sort((a, b) => rankOf(a.name) - rankOf(b.name))
    .slice(0, MOST);
}

function listFacts(properties) {
  const facts = properties.map(({ name, value, unit, description }) => {
    const text = formatNumber(value);
    return h(
      "div",
      { title: description },
      h("span", {}, name),
      h("b", {}, unit ? `${text} ${unit}` : text),
    );
  });
  return h("div.facts", {}, facts);
}

function dot(colour) {
  const mark = h("i.dot");
  mark.style.background = colour;
  return mark;
}
