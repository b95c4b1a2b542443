// Open another recording below the folder of `--root`.
import { getJSON, send } from "./api.js";
import { button, fill, h, soft } from "./dom.js";
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
    const request = (show.latest = getJSON("/api/folder", { path }));
    try {
      const found = await request;
      if (request !== show.latest) return; // another folder was chosen meanwhile
      where.textContent = path;
      const parent = path.split("/").slice(0, -1).join("/");
      fill(
        list,
        path ? button("‹ back", () => show(parent), { kind: "bare" }) : null,
        found.map((item) => h("div", {}, showItem(item))),
        found.length ? null : soft("No recording in this folder."),
      );
    } catch (error) {
      complain(error);
    }
  }

  function showItem({ name, path, kind }) {
    const choose = () => (kind === "folder" ? show(path) : openPath(path));
    return h("button.bare", { onclick: choose }, name, soft(` ${kind}`));
  }

  async function openPath(path) {
    try {
      const { project } = await send("/api/open", { path });
      location.href = `/?project=${project}`;
    } catch (error) {
      complain(error);
    }
  }

  function open() {
    show("");
    dialog.showModal();
  }

  return { open };
}
