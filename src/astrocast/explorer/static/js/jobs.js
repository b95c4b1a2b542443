// Following a computation of the server until it ends.
import { getJSON } from "./api.js";

const wait = (milliseconds) =>
  new Promise((resolve) => {
    setTimeout(resolve, milliseconds);
  });

/** Ask until the job has ended; `tell(job)` meanwhile. */
export async function watchJob(name, tell) {
  for (let pause = 60; ; pause = Math.min(pause * 1.3, 500)) {
    const job = await getJSON(`/api/jobs/${name}`);
    if (!["waiting", "running"].includes(job.status)) return job;
    tell(job);
    await wait(pause);
  }
}
