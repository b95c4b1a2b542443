// The panels on the right, one at a time.
import { fill, find, h } from "./dom.js";

export function createTabs(page, panels) {
  const { store } = page;
  const names = Object.keys(panels);
  const choose = (name) => store.set({ tab: name });
  const buttons = names.map((name) =>
    h(
      "button",
      {
        role: "tab",
        id: `tab-${name}`,
        "aria-controls": `panel-${name}`,
        onclick: () => choose(name),
      },
      panels[name].title,
    ),
  );
  const boxes = names.map((name) =>
    h(
      "div.panel",
      { role: "tabpanel", id: `panel-${name}`, "aria-labelledby": `tab-${name}` },
      panels[name].content,
    ),
  );
  fill(find("#tabs"), buttons);
  fill(find("#panels"), boxes);
  find("#tabs").addEventListener("keydown", (event) => {
    const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!by) return;
    event.stopPropagation();
    const at = (names.indexOf(store.get().tab) + by + names.length) % names.length;
    choose(names[at]);
    buttons[at].focus();
  });
  function show() {
    const now = names.includes(store.get().tab) ? store.get().tab : names[0];
    names.forEach((name, i) => {
      buttons[i].setAttribute("aria-selected", String(name === now));
      buttons[i].tabIndex = name === now ? 0 : -1;
      boxes[i].hidden = name !== now;
    });
    panels[now].opened?.();
  }
  store.on(["tab"], show);
  show();
}
