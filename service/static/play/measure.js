/** The button that measures, by a job, how far the model keeps up when pictures are moved. */

import { ask } from "../api.js";
import { byId } from "../dom.js";
import { load } from "../lazy.js";

/** `model()` gives the model that is asked, `{name, version}`, or null. */
export function createMeasure(button, model) {
  button.onclick = async () => {
    const { hush, tell } = await load(() => import("../train/tellings.js"));
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
