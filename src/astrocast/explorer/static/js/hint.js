// First steps, shown at the first visit.
import { find, h } from "./dom.js";

const KEY = "astrocast-hint-seen";

export function showHint(hasEvents, force = false) {
  if (!force && localStorage.getItem(KEY)) return;
  document.querySelector(".hint")?.remove();
  const lines = [
    [
      "Look: ",
      "press ",
      h("kbd", {}, "space"),
      " to play, ",
      h("kbd", {}, "←"),
      " ",
      h("kbd", {}, "→"),
      " to step; the wheel zooms.",
    ],
    hasEvents
      ? [
          "Click: ",
          "a pixel or an outline shows its trace; ",
          h("kbd", {}, "n"),
          " goes to the next event.",
        ]
      : ["Click: ", "a pixel shows its trace over the whole recording."],
    [
      "Tune: ",
      "change a parameter on the right, see at once which events it finds, then run it on the whole recording.",
    ],
  ];
  const close = () => {
    localStorage.setItem(KEY, "1");
    box.remove();
  };
  const box = h(
    "div.hint",
    { role: "dialog", "aria-label": "First steps" },
    h("p", {}, "Three things to do here"),
    h(
      "ol",
      {},
      lines.map(([name, ...rest]) => h("li", {}, h("b", {}, name), ...rest)),
    ),
    h("button.main", { onclick: close }, "Start"),
    " ",
    h("span.soft", {}, "All keys: ", h("kbd", {}, "?")),
  );
  find(".stage").append(box);
  find(".stage").style.position = "relative";
  box.querySelector("button").focus();
}
