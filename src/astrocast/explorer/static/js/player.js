// Playback: steps, speed, and the time cursor.
import { fill, find, h } from "./dom.js";
import { formatTime } from "./format.js";

const SPEEDS = [0.5, 1, 2, 5, 10, 25];
const UNKNOWN_RATE = 10;

export function createPlayer(page) {
  const { store, info } = page;
  const play = h("button", { onclick: toggle, title: "Play or pause (space)" });
  const slider = h("input", {
    type: "range",
    min: 0,
    max: info.frames - 1,
    step: 1,
    "aria-label": "Frame",
    oninput: () => go(Number(slider.value)),
  });
  const speed = h(
    "select",
    {
      "aria-label": "Speed",
      title: "Speed, as a multiple of the recorded one",
      onchange: () => store.set({ speed: Number(speed.value) }),
    },
    SPEEDS.map((value) => h("option", { value }, `${value}×`)),
  );
  const time = h("span.time");
  fill(
    find("#player"),
    h(
      "button",
      { onclick: () => step(-1), title: "One frame back (←)", "aria-label": "One frame back" },
      "◀",
    ),
    play,
    h(
      "button",
      { onclick: () => step(1), title: "One frame on (→)", "aria-label": "One frame on" },
      "▶",
    ),
    slider,
    speed,
    time,
  );

  function go(frame) {
    store.set({ frame: Math.min(Math.max(Math.round(frame), 0), info.frames - 1) });
  }

  function step(by) {
    store.set({ playing: false });
    go(store.get().frame + by);
  }

  function toggle() {
    store.set({ playing: !store.get().playing });
  }

  function show() {
    const { frame, playing } = store.get();
    play.textContent = playing ? "Pause" : "Play";
    play.setAttribute("aria-pressed", playing);
    slider.value = frame;
    const clock = formatTime(frame, info.frame_rate);
    fill(
      time,
      "frame ",
      h("b", {}, String(frame)),
      ` of ${info.frames - 1}`,
      clock ? `  ${clock}` : "",
    );
    speed.value = store.get().speed;
  }

  let last = 0;
  let busy = false;
  async function tick(now) {
    const { playing, frame, speed: factor } = store.get();
    if (!playing) return;
    requestAnimationFrame(tick);
    const wait = 1000 / ((info.frame_rate || UNKNOWN_RATE) * factor);
    if (busy || now - last < wait) return;
    // slower machines leave out frames rather than time
    const by = Math.max(1, Math.min(8, Math.floor((now - last) / wait)));
    last = now;
    const next = (frame + by) % info.frames;
    await page.views.readAhead(next, null, 24);
    page.outlines.frame((next + 16) % info.frames);
    busy = true;
    store.set({ frame: next });
    await Promise.resolve();
    await page.views.load();
    busy = false;
  }

  store.on(["playing"], () => {
    if (store.get().playing)
      requestAnimationFrame((now) => {
        last = now;
        tick(now);
      });
  });
  store.on(["frame", "playing", "speed"], show);
  show();
  return { go, step, toggle };
}
