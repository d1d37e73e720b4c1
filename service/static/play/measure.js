/** Measures, by a job, how far a model keeps up when pictures are moved. Loaded when it is asked to. */

import { ask } from "../api.js";
import { byId } from "../dom.js";
import { hush, tell } from "../train/tellings.js";

/** Launch the job for this `{name, version}` and go to its page; `button` is the one that was pressed. */
export async function measure(button, { name, version }) {
  const headers = { "Content-Type": "application/json" };
  button.disabled = true;
  try {
    hush();
    const job = await ask(`v1/models/${name}/invariance`, { method: "POST", headers, body: JSON.stringify({ version }) });
    location.hash = `#jobs/${job.id}`;
  } catch (error) {
    tell(byId("notice"), error, () => measure(button, { name, version }));
  }
  button.disabled = false;
}
