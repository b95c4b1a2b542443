// Opening another recording, where a folder was given at the start.
import { getJSON, send } from "./api.js";
import { fill, h } from "./dom.js";
import { complain } from "./messages.js";

export function createBrowse() {
  const list = h("div");
  const where = h("b");
  const dialog = h(
    "dialog",
    { "aria-label": "Open" },
    h("h2", {}, "Open ", where),
    list,
    h("form", { method: "dialog" }, h("button", {}, "Close")),
  );
  document.body.append(dialog);

  async function show(path) {
    try {
      const found = await getJSON("/api/folder", { path });
      where.textContent = path || "";
      const up = path
        ? h(
            "button.bare",
            { onclick: () => show(path.split("/").slice(0, -1).join("/")) },
            "‹ back",
          )
        : null;
      fill(
        list,
        up,
        found.map((item) =>
          h(
            "div",
            {},
            h(
              "button.bare",
              { onclick: () => (item.kind === "folder" ? show(item.path) : open(item.path)) },
              item.name,
              h("span.soft", {}, ` ${item.kind}`),
            ),
          ),
        ),
      );
    } catch (error) {
      complain(error);
    }
  }

  async function open(path) {
    try {
      const { project } = await send("/api/open", { path });
      location.href = `/?project=${project}`;
    } catch (error) {
      complain(error);
    }
  }

  return {
    open: () => {
      show("");
      dialog.showModal();
    },
  };
}
