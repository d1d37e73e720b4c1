/** The button that measures, by a job, how far the model keeps up when pictures are moved. */

import { byId } from "../dom.js";

/** `model()` gives the model that is asked, `{name, version}`, or null. */
export function createMeasure(button, model) {
  button.onclick = async () => {
    const { ask, hush, tell } = await import("../train/calls.js");
    const { name, version } = model();
    const headers = { "Content-Type": "application/json" };
    button.disabled = true;
    try {
      hush();
      const job = await ask(`v1/models/${name}/invariance`, { method: "POST", headers, body: JSON.stringify({ version }) });
      location.hash = `#jobs/${job.id}`;
    } catch (error) {
      tell(byId("notice"), error, button.onclick);
    }
    button.disabled = false;
  };
  return { update: () => (button.hidden = !model()) };
}
