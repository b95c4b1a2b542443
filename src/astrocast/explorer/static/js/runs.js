// Runs of the whole recording: start, progress, cancel, continue.
import { getJSON, send } from "./api.js";
import { button, fill, h, note, row, soft, spacer } from "./dom.js";
import { watchJob } from "./jobs.js";
import { complain, say } from "./messages.js";

/** Make the part of the panel that starts runs; `settings()` returns their parameters. */
export function createRuns(page, settings) {
  const address = `${page.base}/runs`;
  const name = h("input", { type: "text", "aria-label": "Name of the new results" });
  const start = button("Run on the whole recording", () => run(name.value), { kind: "main" });
  const progress = h("div");
  let suggested = null; // name that the server suggested
  const unfinished = h("div");

  /** Show the unfinished runs, and the progress of a run that this or another tab started. */
  async function load() {
    const found = await getJSON(address);
    if (!name.value || name.value === suggested) name.value = found.name;
    suggested = found.name;
    name.title = `New directory in ${found.folder}; existing files are not changed`;
    const continueButton = (other) => button(`Continue ${other}`, () => run(other));
    fill(
      unfinished,
      found.unfinished.length
        ? row(soft("not finished:"), found.unfinished.map(continueButton))
        : null,
      Object.values(found.damaged).map((text) => note(text)),
    );
    const [job] = Object.values(found.running);
    if (job) follow(job).catch(complain);
    return found;
  }

  async function run(wanted) {
    start.disabled = true; // until the server has answered
    try {
      const job = await send(address, { settings: settings(), name: wanted });
      fill(unfinished);
      await follow(job.name);
    } catch (error) {
      complain(error);
    } finally {
      start.disabled = false;
    }
  }

  /** Show the progress of a run until it ends. */
  async function follow(job) {
    if (follow.job === job) return;
    follow.job = job;
    const isShown = () => follow.job === job; // and not the progress of a later run
    start.disabled = true;
    const bar = h("progress", { max: 1, value: 0 });
    const text = h("div.soft", { role: "status" }, "waiting");
    const cancel = () => send(`/api/jobs/${job}`, {}, "DELETE").catch(complain);
    fill(progress, bar, row(text, spacer(), button("Cancel", cancel)));
    progress.scrollIntoView({ block: "nearest" });
    let done = null;
    try {
      done = await watchJob(job, (now) => {
        bar.value = now.total ? now.done / now.total : 0;
        text.textContent = now.stage ? `${now.stage}: ${now.done} of ${now.total}` : "waiting";
      });
      if (isShown()) fill(progress);
      if (done.status === "failed") throw new Error(done.message);
      if (done.status === "done") showResult(done);
    } finally {
      if (isShown()) {
        follow.job = null;
        start.disabled = false;
      }
      const { unfinished: names } = await load();
      if (done?.status === "cancelled") sayStopped(done, names);
    }
  }

  function sayStopped({ facts }, names) {
    const canContinue = names.includes(facts.directory.split(/[\\/]/).pop());
    say(`The run was stopped${canContinue ? "; you can continue it" : " before it began"}.`);
  }

  function showResult({ result, facts }) {
    const href = `/?project=${result.project}`;
    fill(
      progress,
      row(
        h("b", {}, `${result.events} events`),
        soft(`in ${facts.directory}`),
        h("a.button", { href }, "Open"),
      ),
    );
  }

  const box = h("div.fields", {}, row(soft("new results"), name, start), progress, unfinished);
  return { box, load };
}
