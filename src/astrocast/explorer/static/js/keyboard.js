// All keys, declared once: the list of keys in the page is made from them.
import { h } from "./dom.js";

const ARROWS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };

export function createKeyboard(page) {
  const { store } = page;
  const step = (by) => () => page.player.step(by);
  const keys = [
    { keys: [" "], name: "space", text: "play or pause", run: () => page.player.toggle() },
    { keys: ["ArrowLeft"], name: "←", text: "one frame back", run: step(-1) },
    { keys: ["ArrowRight"], name: "→", text: "one frame forward", run: step(1) },
    { keys: ["PageUp"], name: "PgUp", text: "ten frames back", run: step(-10) },
    { keys: ["PageDown"], name: "PgDn", text: "ten frames forward", run: step(10) },
    { keys: ["Home"], name: "Home", text: "first frame", run: () => page.player.go(0) },
    {
      keys: ["End"],
      name: "End",
      text: "last frame",
      run: () => page.player.go(page.info.frames - 1),
    },
    { keys: ["n"], name: "n", text: "next event", run: () => page.nextEvent(1) },
    { keys: ["p"], name: "p", text: "previous event", run: () => page.nextEvent(-1) },
    { keys: ["."], name: ".", text: "next event at this place", run: () => page.nextHere(1) },
    { keys: [","], name: ",", text: "previous event at this place", run: () => page.nextHere(-1) },
    {
      keys: ["o"],
      name: "o",
      text: "outlines: active, footprints, off",
      run: () => page.cycleOutlines(),
    },
    { keys: ["c"], name: "c", text: "contrast", run: () => page.contrast.toggle() },
    { keys: ["+", "="], name: "+", text: "zoom in", run: () => page.views.zoom(1.25) },
    { keys: ["-"], name: "−", text: "zoom out", run: () => page.views.zoom(0.8) },
    { keys: ["0"], name: "0", text: "whole frame", run: () => page.views.reset() },
    {
      keys: ["["],
      name: "[",
      text: "shorter time in the plots",
      run: () => page.zoomTime(0.8, store.get().frame),
    },
    {
      keys: ["]"],
      name: "]",
      text: "longer time in the plots",
      run: () => page.zoomTime(1.25, store.get().frame),
    },
    {
      keys: [],
      name: "Shift + arrows",
      text: "move the pointer in the picture; with Ctrl by ten pixels",
      run: () => {},
    },
    {
      keys: ["x"],
      name: "x",
      text: "click at the pointer; begin or end a line, box or stroke",
      run: () => page.views.press(),
    },
    {
      keys: ["X"],
      name: "X",
      text: "Shift-click at the pointer",
      run: () => page.views.press(true),
    },
    {
      keys: ["Enter"],
      name: "Enter",
      text: "end a polygon",
      run: () => page.views.tool?.finish?.(),
    },
    {
      keys: ["Escape"],
      name: "Esc",
      text: "leave a tool, or select nothing",
      run: () => page.escape(),
    },
    { keys: ["?"], name: "?", text: "this list", run: () => help.showModal() },
    ...(page.moreKeys || []),
  ];
  const help = h(
    "dialog",
    { "aria-label": "Keys" },
    h("h2", {}, "Keys"),
    h(
      "div.keys",
      {},
      keys.flatMap(({ name, text }) => [h("kbd", {}, name), h("span", {}, text)]),
    ),
    h("form", { method: "dialog" }, h("p", {}, h("button.main", {}, "Close"))),
  );
  document.body.append(help);

  document.addEventListener("keydown", (event) => {
    if (help.open || event.defaultPrevented) return;
    const typing = event.target.matches(
      "input:not([type=range]):not([type=checkbox]), textarea, select",
    );
    const pressing =
      event.target.matches("button, summary, a") && (event.key === " " || event.key === "Enter");
    if ((typing && event.key !== "Escape") || pressing) return;
    const control = event.ctrlKey || event.metaKey;
    if (event.shiftKey && event.key in ARROWS) {
      event.preventDefault();
      page.views.movePointer(ARROWS[event.key].map((by) => by * (control ? 10 : 1)));
      return;
    }
    const found = keys.find(
      (item) => item.keys.includes(event.key) && Boolean(item.control) === control,
    );
    if (!found || event.altKey) return;
    event.preventDefault();
    found.run();
  });
  return { help: () => help.showModal(), store };
}
