// Short messages at the bottom of the page.
import { find, h } from "./dom.js";

export function say(text, { error = false, action = null } = {}) {
  const box = find("#messages");
  const message = h(
    error ? "div.message.error" : "div.message",
    { role: error ? "alert" : "status" },
    h("span", {}, text),
  );
  const remove = () => message.remove();
  if (action)
    message.append(
      h(
        "button",
        {
          onclick: () => {
            action.run();
            remove();
          },
        },
        action.name,
      ),
    );
  message.append(h("button", { onclick: remove, "aria-label": "Close" }, "×"));
  box.append(message);
  while (box.children.length > 3) box.firstChild.remove();
  setTimeout(remove, Math.max(error ? 14000 : 5000, 60 * text.length)); // time to read it
}

export const complain = (error) => {
  if (error.name !== "AbortError") say(error.message || String(error), { error: true });
};
