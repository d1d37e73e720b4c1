/** Where a drawing or a picture comes from: the gallery, a file that is chosen, dropped or pasted, the camera. */

import { byId, h } from "../dom.js";
import { load } from "../lazy.js";
import { GALLERY } from "./gallery.js";
import { render } from "./render.js";
import { drawing } from "./state.js";

/** `show({source, view})` is told what to lay on the pad, `fail(error)` what does not work; `model()` gives the model that
 * says what each of several pictures is, or null. */
export function createSources({ show, model, fail }) {
  let strip = null;
  let coming = null;

  async function take(files, view = {}) {
    if (!files.length) return;
    const taken = Array.from(files); // those of an event are gone once it is over
    try {
      coming ??= load(() => import("./strip.js"));
      strip ??= (await coming).createStrip({ show, model });
      strip.take(taken, view);
    } catch (error) {
      coming = null;
      fail(error);
    }
  }

  byId("gallery").replaceChildren(
    ...GALLERY.map(({ name, strokes, view }) => {
      const thumbnail = h("canvas", { width: 96, height: 96, ariaHidden: "true" });
      render(thumbnail.getContext("2d"), { source: drawing(strokes), view }, 1);
      const button = h("button", { type: "button", title: name, ariaLabel: name }, thumbnail);
      button.addEventListener("click", () => {
        strip?.leave();
        show({ source: drawing(strokes), view });
      });
      return h("li", button);
    }),
  );
  byId("file").addEventListener("change", ({ target }) => {
    take(target.files);
    target.value = ""; // the same file may be chosen again
  });
  byId("camera").addEventListener("click", async () => {
    try {
      const { openCamera } = await load(() => import("./camera.js"));
      openCamera((file, paper) => take([file], paper ? { invert: 1 } : {}));
    } catch (error) {
      fail(error);
    }
  });
  listenForFiles(take);
  return {
    update: (state) => strip?.update(state),
    /** Say again what each is: another model is asked. */
    relabel: () => strip?.label(),
  };
}

function listenForFiles(take) {
  const isHere = () => !byId("play").hidden;
  document.addEventListener("paste", (event) => isHere() && take(event.clipboardData.files));
  document.addEventListener("dragover", (event) => {
    if (!isHere() || !event.dataTransfer.types.includes("Files")) return;
    event.preventDefault();
    document.body.classList.add("dragging");
  });
  document.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) document.body.classList.remove("dragging");
  });
  document.addEventListener("drop", (event) => {
    if (!isHere() || !event.dataTransfer.types.includes("Files")) return;
    event.preventDefault();
    document.body.classList.remove("dragging");
    take(event.dataTransfer.files);
  });
}
