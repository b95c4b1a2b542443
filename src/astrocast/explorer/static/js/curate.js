// Decisions about events: accept, reject, merge, split, draw; undo and redo.
import { getJSON, send } from "./api.js";
import { fill, h } from "./dom.js";
import { complain, say } from "./messages.js";
import { lineTool, polygonTool } from "./tools.js";

export function createCurate(page) {
  const { store } = page;
  const box = h("div.block");
  const reasons = h("select", { "aria-label": "Reason", title: "Why events are rejected" });
  const free = h("input", {
    type: "text",
    placeholder: "reason",
    "aria-label": "Another reason",
    hidden: true,
    maxLength: 200,
  });
  reasons.style.width = "5.6rem";
  free.style.width = "9rem";
  reasons.addEventListener("change", () => {
    free.hidden = reasons.value !== "other";
    if (!free.hidden) free.focus();
  });
  const undo = h(
    "button",
    {
      onclick: () => change("/undo"),
      title: "Undo a decision (Ctrl+Z)",
      "aria-label": "Undo a decision",
    },
    "↶",
  );
  const redo = h(
    "button",
    {
      onclick: () => change("/redo"),
      title: "Redo a decision (Ctrl+Y)",
      "aria-label": "Redo a decision",
    },
    "↷",
  );
  const status = h("span.soft");
  const others = h("div");
  let known = null;

  const targets = () => {
    const { chosen, selected } = store.get();
    return chosen.size ? [...chosen] : selected ? [selected] : [];
  };

  async function change(path, body) {
    // a new event is measured in the movie, which may take a moment
    const slow = setTimeout(() => {
      status.textContent = "working …";
    }, 300);
    try {
      const done = await send(`${page.base}${path}`, body);
      await page.loadEvents();
      // at once: another key may undo it while the rest is fetched
      const first = done.made?.[0];
      if (page.rowOf(first) !== undefined) page.selectEvent(first, { go: true });
      await describe();
      return done;
    } catch (error) {
      await describe().catch(() => {});
      complain(error);
      return null;
    } finally {
      clearTimeout(slow);
    }
  }

  async function judge(kind) {
    const events = targets();
    if (!events.length) return say("Select an event first.");
    const reason = reasons.value === "other" ? free.value : reasons.value;
    // at once, not after the answer: the next key is about the next event, and an event that is chosen meanwhile stays
    if (events.length === 1 && kind !== "clear" && follow.checked) page.nextEvent(1);
    const done = await change("/judgements", {
      kind,
      events,
      reason: kind === "reject" ? reason : "",
    });
    if (!done && events.length === 1) page.selectEvent(events[0], { go: true });
    return done;
  }

  function merge() {
    const events = targets();
    if (events.length < 2)
      return say("Select two or more events: shift-click outlines, bars or lines of the table.");
    return change("/merges", { events });
  }

  function splitAtFrame() {
    const { selected, frame } = store.get();
    return selected ? change("/splits", { event: selected, frame }) : say("Select an event first.");
  }

  function splitAlongLine() {
    const { selected } = store.get();
    if (!selected) return say("Select an event first.");
    page.useTool(
      lineTool(page, "Drag a line across the event.", ([a, b]) =>
        change("/splits", {
          event: selected,
          line: [
            [a.row - 0.5, a.column - 0.5],
            [b.row - 0.5, b.column - 0.5],
          ],
        }),
      ),
    );
    return undefined;
  }

  function draw() {
    const { frame } = store.get();
    page.useTool(
      polygonTool(page, "Click around the event; double-click or Enter ends.", (points) => {
        const first = h("input", {
          type: "number",
          min: 0,
          max: page.info.frames - 1,
          value: frame,
        });
        const last = h("input", {
          type: "number",
          min: 0,
          max: page.info.frames - 1,
          value: Math.min(frame + 4, page.info.frames - 1),
        });
        const dialog = h(
          "dialog",
          {},
          h("h2", {}, "New event"),
          h("p.row", {}, "frames", first, "to", last),
          h(
            "form",
            { method: "dialog" },
            h(
              "div.row",
              {},
              h("button.main", { value: "add" }, "Add event"),
              h("button", { value: "" }, "Cancel"),
            ),
          ),
        );
        document.body.append(dialog);
        dialog.addEventListener("close", () => {
          dialog.remove();
          if (dialog.returnValue === "add")
            change("/drawings", {
              polygon: points.map(({ row, column }) => [row, column]),
              first: Number(first.value),
              last: Number(last.value),
            });
        });
        dialog.showModal();
      }),
    );
  }

  const follow = h("input", { type: "checkbox", checked: true });
  fill(
    box,
    h(
      "div.row",
      {},
      h("button.main", { onclick: () => judge("accept"), title: "Accept (a)" }, "Accept"),
      h("button", { onclick: () => judge("reject"), title: "Reject (r)" }, "Reject"),
      reasons,
      free,
      h(
        "button.bare",
        { onclick: () => judge("clear"), title: "Take accept or reject back (u)" },
        "Clear",
      ),
      h("span.grow"),
      undo,
      redo,
    ),
    h(
      "details",
      {},
      h("summary", {}, "Merge, split, draw"),
      h(
        "div.row",
        {},
        h("button", { onclick: merge, title: "Merge the selected events (m)" }, "Merge"),
        h(
          "button",
          { onclick: splitAtFrame, title: "The event from this frame on becomes another (s)" },
          "Split at this frame",
        ),
        h(
          "button",
          { onclick: splitAlongLine, title: "Divide along a line (l)" },
          "Split along a line",
        ),
        h("button", { onclick: draw, title: "Draw an event (d)" }, "Draw an event"),
      ),
      h("label.soft", {}, follow, " go to the next event after a decision"),
      others,
    ),
    status,
  );

  async function describe() {
    if (!page.info.has_events) return;
    known = await getJSON(`${page.base}/curation`);
    if (!reasons.children.length)
      fill(
        reasons,
        known.reasons.map((reason) => h("option", {}, reason)),
        h("option", { value: "other" }, "other …"),
      );
    const { events } = store.get();
    undo.disabled = !events.undo;
    redo.disabled = !events.redo;
    const total = events.events.length;
    status.textContent = `${known.accepted} accepted, ${known.rejected} rejected, ${known.made} made, of ${total}${known.curator ? ` · curator ${known.curator}` : ""}`;
    status.title = `Kept in ${known.file}, beside the events`;
    const names = known.curators.filter((name) => name !== known.curator);
    fill(
      others,
      names.length
        ? h(
            "div.row",
            {},
            h("span.soft", {}, "compare with"),
            names.map((name) => h("button", { onclick: () => compare(name) }, name || "no name")),
          )
        : null,
      known.other_decisions
        ? h(
            "div.soft",
            {},
            `${known.other_decisions} decisions are about another detection and do not count.`,
          )
        : null,
    );
  }

  async function compare(name) {
    try {
      const found = await getJSON(`${page.base}/agreement`, { other: name });
      const percent = found.agreement === null ? "–" : `${Math.round(100 * found.agreement)} %`;
      const table = h(
        "table",
        {},
        h(
          "tr",
          {},
          h("th"),
          found.labels.map((label) => h("th", {}, label)),
        ),
        found.table.map((row, i) =>
          h(
            "tr",
            {},
            h("th", {}, found.labels[i]),
            row.map((n) => h("td", {}, String(n))),
          ),
        ),
      );
      const dialog = h(
        "dialog",
        {},
        h("h2", {}, `You and ${name || "no name"}`),
        h(
          "p",
          {},
          `Agreement ${percent}, Cohen's kappa ${found.kappa ?? "–"}, over ${found.both} events that both decided about (${found.undecided} left out).`,
        ),
        h("div.table", {}, table),
        h("p.soft", {}, "Rows: you. Columns: the other."),
        found.differ.length
          ? h(
              "p.row",
              {},
              "You differ about ",
              found.differ.slice(0, 30).map((event) =>
                h(
                  "button.chip",
                  {
                    onclick: () => {
                      dialog.close();
                      page.selectEvent(event, { go: true });
                    },
                  },
                  String(event),
                ),
              ),
            )
          : null,
        h("form", { method: "dialog" }, h("button.main", {}, "Close")),
      );
      document.body.append(dialog);
      dialog.addEventListener("close", () => dialog.remove());
      dialog.showModal();
    } catch (error) {
      complain(error);
    }
  }

  store.on(["events"], () => describe().catch(complain));
  page.moreKeys = [
    { keys: ["a"], name: "a", text: "accept", run: () => judge("accept") },
    { keys: ["r"], name: "r", text: "reject, with the chosen reason", run: () => judge("reject") },
    { keys: ["u"], name: "u", text: "take accept or reject back", run: () => judge("clear") },
    { keys: ["m"], name: "m", text: "merge the selected events", run: merge },
    { keys: ["s"], name: "s", text: "split at this frame", run: splitAtFrame },
    { keys: ["l"], name: "l", text: "split along a line", run: splitAlongLine },
    { keys: ["d"], name: "d", text: "draw an event", run: draw },
    {
      keys: ["z"],
      control: true,
      name: "Ctrl+Z",
      text: "undo a decision",
      run: () => change("/undo"),
    },
    {
      keys: ["y"],
      control: true,
      name: "Ctrl+Y",
      text: "redo a decision",
      run: () => change("/redo"),
    },
  ];
  return { box };
}
