// Building elements.

/** Make an element: `h("button.main", {onclick}, "Run")`. */
export function h(kind, properties = {}, ...children) {
  const [tag, ...classes] = kind.split(".");
  const element = document.createElement(tag || "div");
  if (classes.length) element.className = classes.join(" ");
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name in element && name !== "list") element[name] = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(
    ...children.flat().filter((child) => child !== null && child !== undefined && child !== false),
  );
  return element;
}

export const find = (selector) => document.querySelector(selector);

export function fill(element, ...children) {
  element.replaceChildren(
    ...children.flat().filter((child) => child !== null && child !== undefined && child !== false),
  );
}

/** Make a button: `button("Find", search, {kind: "main", title})`. */
export const button = (text, onclick, { kind = "", ...properties } = {}) =>
  h(kind ? `button.${kind}` : "button", { onclick, ...properties }, text);

/** Make a field for a number. */
export function numberField(label, value, properties = {}) {
  const input = h("input", { type: "number", value, "aria-label": label, ...properties });
  input.style.width = "5rem";
  return input;
}

export const row = (...children) => h("div.row", {}, ...children);
export const soft = (...children) => h("span.soft", {}, ...children);
export const note = (...children) => h("div.soft", {}, ...children);
export const spacer = () => h("span.grow");

/** Make a part of a panel, with a title unless it is null. */
export const block = (title, ...children) =>
  h("div.block", {}, title === null ? null : h("h2", {}, title), ...children);

/** Ask with a dialog; resolves to the value of the pressed button, "" if it was closed. */
export function openDialog(title, content, ...buttons) {
  const form = h("form", { method: "dialog" }, row(...buttons));
  const dialog = h("dialog", {}, h("h2", {}, title), content, form);
  document.body.append(dialog);
  dialog.showModal();
  const answer = new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue);
    });
  });
  return { dialog, answer };
}

/** Return the context of a canvas, after setting its size to the pixels of the screen. */
export function fitCanvas(canvas) {
  const ratio = window.devicePixelRatio || 1;
  const width = Math.max(1, Math.round(canvas.clientWidth * ratio));
  const height = Math.max(1, Math.round(canvas.clientHeight * ratio));
  if (canvas.width !== width || canvas.height !== height) {
    canvas.width = width;
    canvas.height = height;
  }
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  return context;
}

export const cssColour = (name) =>
  getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** Return the size of one rem in pixels. */
export const rem = () => parseFloat(getComputedStyle(document.documentElement).fontSize);

export function saveFile(blob, name) {
  const address = URL.createObjectURL(blob);
  h("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10000);
}
