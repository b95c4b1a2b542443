// Progress of a computation in the server.
import { getJSON } from "./api.js";

const wait = (milliseconds) =>
  new Promise((resolve) => {
    setTimeout(resolve, milliseconds);
  });

/** Wait until a job has ended and return it; until then `tell(job)` is called repeatedly. */
export async function watchJob(name, tell) {
  for (let pause = 60; ; pause = Math.min(pause * 1.3, 500)) {
    const job = await getJSON(`/api/jobs/${name}`);
    if (!["waiting", "running"].includes(job.status)) return job;
    tell(job);
    await wait(pause);
  }
}
