// Start: open the project, build the parts, connect them.
import { getJSON } from "./api.js";
import { createAsk } from "./ask.js";
import { createBrowse } from "./browse.js";
import { createContrast } from "./contrast.js";
import { createCurate } from "./curate.js";
import { find } from "./dom.js";
import { createEventsPanel } from "./eventsPanel.js";
import { showHint } from "./hint.js";
import { createKeyboard } from "./keyboard.js";
import { complain } from "./messages.js";
import { Page } from "./page.js";
import { createPlayer } from "./player.js";
import { createRegions } from "./regions.js";
import { createShare } from "./share.js";
import { createTabs } from "./tabs.js";
import { createTimeline } from "./timeline.js";
import { createToolbar } from "./toolbar.js";
import { createTraces } from "./traces.js";
import { createTune } from "./tune.js";
import { Views } from "./views.js";

const dark = window.matchMedia("(prefers-color-scheme: dark)").matches;
document.documentElement.dataset.theme =
  localStorage.getItem("astrocast-theme") || (dark ? "dark" : "light");

window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", ({ matches }) => {
  if (localStorage.getItem("astrocast-theme")) return;
  document.documentElement.dataset.theme = matches ? "dark" : "light";
  window.explorer?.store.set({ theme: document.documentElement.dataset.theme });
});

async function begin() {
  const start = await getJSON("/api/start");
  const project = new URLSearchParams(location.search).get("project") || start.project;
  if (!project && start.live) {
    // only a live analysis exists, no result yet
    location.replace("/live");
    return;
  }
  const page = new Page(project, await getJSON(`/api/projects/${project}`), start);
  window.explorer = page; // for the console and for tests
  // without events and shifts the timeline is one line, and the movie gets its space
  find(".stage").classList.toggle("bare", !page.info.has_events && !page.info.has_registration);
  page.contrast = createContrast(page);
  page.views = new Views(page);
  page.player = createPlayer(page);
  page.timeline = createTimeline(page);
  page.traces = createTraces(page);
  if (start.can_browse) page.browse = createBrowse();
  const tune = createTune(page);
  createTabs(page, {
    events: {
      title: "Events",
      content: createEventsPanel(page, page.info.has_events ? createCurate(page).box : null),
    },
    tune: { title: "Tune", content: tune.box, opened: tune.opened },
    regions: { title: "Regions", content: createRegions(page).box },
    share: { title: "Share", content: createShare(page).box },
  });
  page.keyboard = createKeyboard(page);
  createToolbar(page);
  await Promise.all([
    page.loadEvents(),
    page.info.has_registration ? page.loadRegistration() : null,
  ]);
  createAsk(page);
  showHint(page.info.has_events);
  // another tab may have changed decisions or regions
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) page.refresh().catch(complain);
  });
  document.body.dataset.ready = "true";
}

begin().catch(complain);
