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
      title: info.frame_rate
        ? "Speed, relative to the recording"
        : `Speed, relative to ${UNKNOWN_RATE} frames per second (the frame rate is not known)`,
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
      { onclick: () => step(1), title: "One frame forward (→)", "aria-label": "One frame forward" },
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
    const { frame, speed: factor } = store.get();
    const wait = 1000 / ((info.frame_rate || UNKNOWN_RATE) * factor);
    if (busy || now - last < wait) return;
    // a slow computer skips frames, so that the speed is right
    const by = Math.max(1, Math.min(8, Math.floor((now - last) / wait)));
    last = now;
    busy = true;
    try {
      await showNext(frame, (frame + by) % info.frames);
    } finally {
      busy = false;
    }
  }

  async function showNext(frame, next) {
    await page.views.readAhead(next, null, 24).catch(() => {}); // `load` reports the error
    page.outlines.frame((next + 16) % info.frames);
    const now = store.get();
    // the user stopped the movie, or moved the cursor
    if (!now.playing || now.frame !== frame) return;
    store.set({ frame: next });
    await Promise.resolve(); // the change of the frame starts to load it
    await page.views.load();
  }

  let isTicking = false;
  function loop(now) {
    if (!store.get().playing) {
      isTicking = false;
      return;
    }
    requestAnimationFrame(loop);
    tick(now);
  }

  store.on(["playing"], () => {
    if (!store.get().playing || isTicking) return;
    isTicking = true;
    requestAnimationFrame((now) => {
      last = now;
      loop(now);
    });
  });
  store.on(["frame", "playing", "speed"], show);
  show();
  return { go, step, toggle };
}
