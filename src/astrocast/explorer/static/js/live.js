// Page of a recording that is analysed while it is recorded.
import { getJSON, send } from "./api.js";
import { fill, find, h } from "./dom.js";

const dark = window.matchMedia("(prefers-color-scheme: dark)").matches;
document.documentElement.dataset.theme =
  localStorage.getItem("astrocast-theme") || (dark ? "dark" : "light");

const EVERY = 1000; // milliseconds between two requests
const STATUS = {
  waiting: "Waiting for the first frame.",
  learning: "Learning template, background and noise from the first frames.",
  watching: "Watching.",
  analysing: "The recording is complete. The full analysis runs.",
  complete: "Complete.",
};

const svg = (name, values, ...children) => {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(values)) element.setAttribute(key, value);
  element.append(...children);
  return element;
};

function drawRates(rates, bin) {
  const perMinute = rates.map((n) => (n * 60) / bin);
  const top = Math.max(1, ...perMinute);
  const width = Math.max(30, rates.length);
  const picture = svg(
    "svg",
    { viewBox: "0 0 900 140", preserveAspectRatio: "none", role: "img" },
    svg("title", {}, `Events per minute, at most ${top.toFixed(0)}`),
  );
  perMinute.forEach((value, i) =>
    picture.append(
      svg("rect", {
        x: (900 * i) / width,
        width: Math.max(1, 900 / width - 1),
        y: 135 - (115 * value) / top,
        height: (115 * value) / top,
      }),
    ),
  );
  picture.append(svg("text", { x: 4, y: 14 }, `${top.toFixed(0)} per minute`));
  picture.append(svg("text", { x: 4, y: 30 }, `${bin} s per bar`));
  fill(find("#rates"), picture);
}

function showStatus(state) {
  const isBehind = state.behind_s > 2 && state.status === "watching";
  const skipped = (state.skipped || []).reduce((sum, [first, stop]) => sum + stop - first, 0);
  const text = [STATUS[state.status] || state.status];
  if (isBehind) text.push(`${state.behind_s} s behind the recording.`);
  if (skipped) text.push(`${skipped} frames were left out of the live analysis.`);
  find("#status").textContent = text.join(" ");
  find("#status").className = isBehind || skipped ? "warn" : "";
}

function showNumbers(state) {
  const latency = state.latency_median_s ?? null;
  const numbers = {
    frames: `${state.done ?? 0} of ${state.frames ?? 0}`,
    time: `${state.seconds ?? 0} s`,
    events: state.events ?? 0,
    "latency, median": latency === null ? "–" : `${latency} s`,
    "largest shift": `${state.largest_shift_px ?? 0} px`,
    "bad frames": state.bad_frames ?? 0,
  };
  const items = Object.entries(numbers).map(([name, value]) =>
    h("div", {}, h("dt", {}, name), h("dd", {}, String(value))),
  );
  fill(find("#numbers"), items);
}

function formatCell(text) {
  const number = Number(text);
  return text !== "" && Number.isFinite(number) ? String(Number(number.toPrecision(4))) : text;
}

function showEvents(events) {
  const names = events.length ? Object.keys(events[0]) : [];
  const titles = names.map((name) => h("th", {}, name));
  const rows = events.map((row) => {
    const cells = names.map((name) => h("td", {}, formatCell(row[name])));
    return h("tr", {}, cells);
  });
  fill(find("#events"), h("thead", {}, h("tr", {}, titles)), h("tbody", {}, rows));
}

function showResults(agreement) {
  if (!agreement) return;
  const { f1, live, full } = agreement;
  const text = `Agreement of live and full analysis: F1 ${f1} (${live} and ${full} events). `;
  fill(find("#results"), text, h("button", { onclick: openResults }, "Open the full analysis"));
}

/** Show an answer of the server; return whether the analysis is still running. */
function show({ title, state, events, agreement }) {
  find("#title").textContent = title;
  showStatus(state);
  showNumbers(state);
  drawRates(state.rates || [], state.rate_bin_s || 10);
  showEvents(events);
  const isComplete = state.status === "complete";
  if (isComplete) showResults(agreement);
  document.body.dataset.ready = "true";
  return !isComplete;
}

async function openResults() {
  try {
    const { project } = await send("/api/live/open");
    location.href = `/?project=${project}`;
  } catch (error) {
    complain(error);
  }
}

function complain(error) {
  find("#status").textContent = error.message;
  find("#status").className = "warn";
}

async function update() {
  let isRunning = true;
  try {
    isRunning = show(await getJSON("/api/live"));
  } catch (error) {
    complain(error);
  }
  if (isRunning) setTimeout(update, EVERY);
}

update();
