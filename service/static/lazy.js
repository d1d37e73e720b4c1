/** What is not shown at first is loaded when it is. */

/** A module that did not come; its message is a sentence for a person. */
export class NotLoaded extends Error {}

/** The module that `importing()` promises. */
export async function load(importing) {
  try {
    return await importing();
  } catch (cause) {
    throw new NotLoaded("This part of the page did not come: check that the service still runs, then reload it.", { cause });
  }
}

/** A part that `make()` promises: `update(...)` loads it the first time, and shows the newest state once it is there. */
export function lazyPart(make, fail) {
  let part = null;
  let loading = false;
  let newest = [];
  async function begin() {
    if (loading) return;
    loading = true;
    try {
      part = await load(make);
      part.update(...newest);
    } catch (error) {
      fail(error);
    }
    loading = false;
  }
  return {
    update(...state) {
      newest = state;
      if (part) part.update(...state);
      else begin();
    },
  };
}
