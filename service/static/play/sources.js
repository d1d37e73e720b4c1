/** Where a drawing or a picture comes from: the gallery, a file that is chosen, dropped or pasted, the camera. */

import { byId, h } from "../dom.js";
import { load } from "../lazy.js";
import { GALLERY } from "./gallery.js";
import { copyOf, decodeFile } from "./picture_files.js";
import { render } from "./render.js";
import { drawing, picture, STRAIGHT } from "./state.js";

/** `show({source, view})` is told what to lay on the pad; `label(entries)` of several pictures, to say what each is, and
 * `fail(error)` what does not work. */
export function createSources({ show, label, fail }) {
  let entries = [];
  let chosen = null;

  function take(files, view = {}) {
    if (!files.length) return;
    entries = Array.from(files, (file) => ({ file, view }));
    byId("strip").replaceChildren(...entries.map(entryOf));
    byId("strip").hidden = entries.length < 2;
    select(entries[0]);
    if (entries.length > 1) label(entries);
  }

  function entryOf(entry) {
    const url = URL.createObjectURL(entry.file);
    const image = h("img", { alt: "", decoding: "async", src: url });
    const done = () => URL.revokeObjectURL(url);
    image.addEventListener("load", done);
    image.addEventListener("error", () => {
      done();
      image.removeAttribute("src");
    });
    entry.text = h("span", "…");
    entry.button = h("button", { type: "button", title: entry.file.name, ariaLabel: entry.file.name }, image, entry.text);
    entry.button.addEventListener("click", () => select(entry));
    return h("li", entry.button);
  }

  async function select(entry) {
    chosen = entry;
    const image = await decodeFile(entry.file);
    const copy = image && (await copyOf(image));
    if (chosen === entry) show({ source: picture(entry.file, image, copy), view: { ...STRAIGHT, ...entry.view } });
  }

  byId("gallery").replaceChildren(
    ...GALLERY.map(({ name, strokes, view }) => {
      const thumbnail = h("canvas", { width: 96, height: 96, ariaHidden: "true" });
      render(thumbnail.getContext("2d"), { source: drawing(strokes), view }, 1);
      const button = h("button", { type: "button", title: name, ariaLabel: name }, thumbnail);
      button.addEventListener("click", () => {
        chosen = null;
        show({ source: drawing(strokes), view });
      });
      return h("li", button);
    }),
  );
  byId("file").addEventListener("change", ({ target }) => {
    take(Array.from(target.files));
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
  listenForFiles((files) => take(files));
  return {
    update({ source }) {
      for (const { file, button } of entries) button.ariaCurrent = String(file === source.file);
    },
    /** Say again what each is: another model is asked. */
    relabel: () => entries.length > 1 && label(entries),
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
