// Decisions about events: accept, reject, merge, split, draw; undo and redo.
import { getJSON, send } from "./api.js";
import { block, button, fill, h, note, numberField, openDialog, row, soft, spacer } from "./dom.js";
import { complain, say } from "./messages.js";
import { lineTool, polygonTool } from "./tools.js";

const NOTHING_SELECTED = "Select an event first.";
const TOO_FEW = "Select two or more events: Shift-click outlines, bars or rows of the table.";
/** Frames of a drawn event that are suggested. */
const DRAWN_FRAMES = 5;

export function createCurate(page) {
  const { store, info } = page;
  const reasons = h("select", { "aria-label": "Reason", title: "Reason to reject events" });
  const otherReason = h("input", {
    type: "text",
    placeholder: "reason",
    "aria-label": "Another reason",
    hidden: true,
    maxLength: 200,
  });
  reasons.style.width = "5.6rem";
  otherReason.style.width = "9rem";
  reasons.addEventListener("change", () => {
    otherReason.hidden = reasons.value !== "other";
    if (!otherReason.hidden) otherReason.focus();
  });
  const undoButton = button("↶", () => decide("/undo"), {
    title: "Undo a decision (Ctrl+Z)",
    "aria-label": "Undo a decision",
  });
  const redoButton = button("↷", () => decide("/redo"), {
    title: "Redo a decision (Ctrl+Y)",
    "aria-label": "Redo a decision",
  });
  const follow = h("input", { type: "checkbox", checked: true });
  const status = h("span.soft");
  const others = h("div");

  const selectedEvents = () => {
    const { chosen, selected } = store.get();
    if (chosen.size) return [...chosen];
    return selected ? [selected] : [];
  };

  // one request after the other: an undo must not arrive before the decision that it undoes
  let queue = Promise.resolve();
  function sendInOrder(path, body) {
    const request = queue.then(() => send(`${page.base}${path}`, body));
    queue = request.catch(() => {});
    return request;
  }

  async function decide(path, body) {
    const { selections } = page;
    // to measure a new event in the movie takes a moment
    const slow = setTimeout(() => {
      status.textContent = "working …";
    }, 300);
    try {
      const done = await sendInOrder(path, body);
      await page.loadEvents();
      const first = done.made?.[0];
      // an event that the user selected meanwhile stays selected
      if (selections === page.selections && page.rowOf(first) !== undefined) {
        page.selectEvent(first, { go: true });
      }
      return done;
    } catch (error) {
      complain(error);
      return null;
    } finally {
      clearTimeout(slow);
      await describe().catch(complain);
    }
  }

  async function judge(kind) {
    const events = selectedEvents();
    if (!events.length) return say(NOTHING_SELECTED);
    const wanted = reasons.value === "other" ? otherReason.value : reasons.value;
    const reason = kind === "reject" ? wanted : "";
    // before the answer, because the next key is meant for the next event
    if (events.length === 1 && kind !== "clear" && follow.checked) page.nextEvent(1);
    const { selections } = page;
    const done = await decide("/judgements", { kind, events, reason });
    if (!done && events.length === 1 && selections === page.selections) {
      page.selectEvent(events[0], { go: true });
    }
    return done;
  }

  function merge() {
    const events = selectedEvents();
    return events.length < 2 ? say(TOO_FEW) : decide("/merges", { events });
  }

  function splitAtFrame() {
    const { selected, frame } = store.get();
    return selected ? decide("/splits", { event: selected, frame }) : say(NOTHING_SELECTED);
  }

  function splitAlongLine() {
    const { selected } = store.get();
    if (!selected) return say(NOTHING_SELECTED);
    const centre = ({ row: r, column }) => [r - 0.5, column - 0.5];
    const split = (points) => decide("/splits", { event: selected, line: points.map(centre) });
    page.useTool(lineTool(page, `Drag a line across event ${selected}.`, split));
    return undefined;
  }

  function draw() {
    const { frame } = store.get();
    const hint = "Click around the event; a double-click or Enter ends the outline.";
    page.useTool(polygonTool(page, hint, (points) => askFrames(points, frame)));
  }

  async function askFrames(points, frame) {
    const last = info.frames - 1;
    const limits = { min: 0, max: last };
    const from = numberField("First frame of the event", frame, limits);
    const end = Math.min(frame + DRAWN_FRAMES - 1, last);
    const to = numberField("Last frame of the event", end, limits);
    const { answer } = openDialog(
      "New event",
      h("p.row", {}, "frames", from, "to", to),
      h("button.main", { value: "add" }, "Add event"),
      h("button", { value: "" }, "Cancel"),
    );
    if ((await answer) !== "add") return;
    const polygon = points.map(({ row: r, column }) => [r, column]);
    await decide("/drawings", { polygon, first: Number(from.value), last: Number(to.value) });
  }

  async function describe() {
    const request = (describe.latest = getJSON(`${page.base}/curation`));
    const found = await request;
    if (request !== describe.latest) return; // a later answer is under way
    if (!reasons.children.length) {
      const choices = found.reasons.map((reason) => h("option", {}, reason));
      fill(reasons, choices, h("option", { value: "other" }, "other …"));
    }
    const { events } = store.get();
    undoButton.disabled = !events.undo;
    redoButton.disabled = !events.redo;
    const counts = [
      `${found.accepted} accepted`,
      `${found.rejected} rejected`,
      `${found.made} made by hand`,
      `${events.events.length} in total`,
    ];
    const curator = found.curator ? ` · curator ${found.curator}` : "";
    status.textContent = counts.join(", ") + curator;
    status.title = `Stored in ${found.file}, beside the events`;
    const names = found.curators.filter((name) => name !== found.curator);
    const compareWith = names.map((name) => button(name || "no name", () => compare(name)));
    const ignored = found.other_decisions;
    fill(
      others,
      names.length ? row(soft("compare with"), compareWith) : null,
      ignored
        ? note(`${ignored} stored decisions are about another detection and have no effect here.`)
        : null,
    );
  }

  async function compare(name) {
    try {
      const found = await getJSON(`${page.base}/agreement`, { other: name });
      showAgreement(name || "no name", found);
    } catch (error) {
      complain(error);
    }
  }

  function showAgreement(name, found) {
    const percent = found.agreement === null ? "–" : `${Math.round(100 * found.agreement)} %`;
    const head = found.labels.map((label) => h("th", {}, label));
    const rows = found.table.map((counts, i) => {
      const cells = counts.map((count) => h("td", {}, String(count)));
      return h("tr", {}, h("th", {}, found.labels[i]), cells);
    });
    const go = (event) => () => {
      dialog.close();
      page.selectEvent(event, { go: true });
    };
    const chips = found.differ
      .slice(0, 30)
      .map((event) => button(String(event), go(event), { kind: "chip", type: "button" }));
    const content = h(
      "div",
      {},
      h(
        "p",
        {},
        `Agreement ${percent}, Cohen's kappa ${found.kappa ?? "–"},`,
        ` over ${found.both} events that both of you decided about`,
        ` (${found.undecided} events left out).`,
      ),
      h("div.table", {}, h("table", {}, h("tr", {}, h("th"), head), rows)),
      h("p.soft", {}, `Rows: your decisions. Columns: decisions of ${name}.`),
      chips.length ? h("p.row", {}, "Different decisions about events", chips) : null,
    );
    const { dialog } = openDialog(`You and ${name}`, content, h("button.main", {}, "Close"));
  }

  const box = block(
    null,
    row(
      button("Accept", () => judge("accept"), { kind: "main", title: "Accept (a)" }),
      button("Reject", () => judge("reject"), { title: "Reject (r)" }),
      reasons,
      otherReason,
      button("Clear", () => judge("clear"), {
        kind: "bare",
        title: "Remove the decision: neither accepted nor rejected (u)",
      }),
      spacer(),
      undoButton,
      redoButton,
    ),
    h(
      "details",
      { ontoggle: () => status.scrollIntoView({ block: "nearest" }) },
      h("summary", {}, "Merge, split, draw"),
      row(
        button("Merge", merge, { title: "Merge the selected events (m)" }),
        button("Split at this frame", splitAtFrame, {
          title: "Voxels from this frame on become a second event (s)",
        }),
        button("Split along a line", splitAlongLine, { title: "Split along a line (l)" }),
        button("Draw an event", draw, { title: "Draw an event (d)" }),
      ),
      h("label.soft", {}, follow, " select the next event after a decision"),
      others,
    ),
    status,
  );

  store.on(["events"], () => describe().catch(complain));
  const key = (name, text, run) => ({ keys: [name], name, text, run });
  const controlKey = (letter, text, run) => ({
    keys: [letter],
    control: true,
    name: `Ctrl+${letter.toUpperCase()}`,
    text,
    run,
  });
  page.moreKeys = [
    key("a", "accept", () => judge("accept")),
    key("r", "reject, with the chosen reason", () => judge("reject")),
    key("u", "remove the decision", () => judge("clear")),
    key("m", "merge the selected events", merge),
    key("s", "split at this frame", splitAtFrame),
    key("l", "split along a line", splitAlongLine),
    key("d", "draw an event", draw),
    controlKey("z", "undo a decision", () => decide("/undo")),
    controlKey("y", "redo a decision", () => decide("/redo")),
  ];
  return { box };
}
