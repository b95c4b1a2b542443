// The page of a recording that is analysed while it is recorded.
import { getJSON, send } from "./api.js";
import { fill, find, h } from "./dom.js";

const dark = window.matchMedia("(prefers-color-scheme: dark)").matches;
document.documentElement.dataset.theme =
  localStorage.getItem("astrocast-theme") || (dark ? "dark" : "light");

const EVERY = 1000; // milliseconds between two questions
const SAID = {
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

function show(answer) {
  const { state, events, agreement } = answer;
  find("#title").textContent = answer.title;
  const behind = state.behind_s > 2 && state.status === "watching";
  const skipped = (state.skipped || []).reduce((n, [a, b]) => n + b - a, 0);
  const text = [SAID[state.status] || state.status];
  if (behind) text.push(`${state.behind_s} s behind the recording.`);
  if (skipped) text.push(`${skipped} frames were left out of the live analysis.`);
  find("#status").textContent = text.join(" ");
  find("#status").className = behind || skipped ? "warn" : "";
  const numbers = {
    frames: `${state.done ?? 0} of ${state.frames ?? 0}`,
    time: `${state.seconds ?? 0} s`,
    events: state.events ?? 0,
    "latency, median":
      state.latency_median_s === null || state.latency_median_s === undefined
        ? "–"
        : `${state.latency_median_s} s`,
    "largest shift": `${state.largest_shift_px ?? 0} px`,
    "bad frames": state.bad_frames ?? 0,
  };
  fill(
    find("#numbers"),
    Object.entries(numbers).map(([name, value]) =>
      h("div", {}, h("dt", {}, name), h("dd", {}, String(value))),
    ),
  );
  drawRates(state.rates || [], state.rate_bin_s || 10);
  const names = events.length ? Object.keys(events[0]) : [];
  fill(
    find("#events"),
    h(
      "thead",
      {},
      h(
        "tr",
        {},
        names.map((n) => h("th", {}, n)),
      ),
    ),
    h(
      "tbody",
      {},
      events.map((row) =>
        h(
          "tr",
          {},
          names.map((n) =>
            h(
              "td",
              {},
              Number.isFinite(+row[n]) && row[n] !== ""
                ? String(+(+row[n]).toPrecision(4))
                : row[n],
            ),
          ),
        ),
      ),
    ),
  );
  if (state.status === "complete") {
    const said = agreement
      ? `Agreement of live and full analysis: F1 ${agreement.f1} (${agreement.live} and ${agreement.full} events). `
      : "";
    fill(
      find("#results"),
      said,
      agreement ? h("button", { onclick: openResults }, "Open the full analysis") : null,
    );
  }
  document.body.dataset.ready = "true";
  return state.status !== "complete";
}

async function openResults() {
  const { project } = await send("/api/live/open");
  location.href = `/?project=${project}`;
}

async function ask() {
  let goOn = true;
  try {
    goOn = show(await getJSON("/api/live"));
  } catch (error) {
    find("#status").textContent = error.message;
    find("#status").className = "warn";
  }
  if (goOn) setTimeout(ask, EVERY);
}

ask();
