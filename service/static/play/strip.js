/** Pictures that were chosen, dropped, pasted or taken: one lies on the pad, several in a strip. Loaded with the first. */

import { predict } from "../api.js";
import { byId, h } from "../dom.js";
import { copyOf, decodeFile } from "./picture_files.js";
import { picture, STRAIGHT } from "./state.js";

/** `show({source, view})` is told what to lay on the pad; `model()` gives the model that says what each is, or null. */
export function createStrip({ show, model }) {
  let entries = [];
  let chosen = null;
  let turn = 0;

  function entryOf(file, view) {
    const url = URL.createObjectURL(file);
    const image = h("img", { alt: "", decoding: "async", src: url });
    const done = () => URL.revokeObjectURL(url);
    image.addEventListener("load", done);
    image.addEventListener("error", () => {
      done();
      image.removeAttribute("src");
    });
    const text = h("span", "…");
    const onclick = () => select(entry);
    const button = h("button", { type: "button", title: file.name, ariaLabel: file.name, onclick }, image, text);
    const entry = { file, view, text, button };
    return entry;
  }

  async function select(entry) {
    chosen = entry;
    const image = await decodeFile(entry.file);
    const copy = image && (await copyOf(image));
    if (chosen === entry) show({ source: picture(entry.file, image, copy), view: { ...STRAIGHT, ...entry.view } });
  }

  /** Of several pictures, what each is guessed to be. */
  async function label() {
    const asked = entries.length > 1 ? model() : null;
    const mine = ++turn;
    for (const { file, text, button } of asked ? entries : []) {
      const guess = await guessOf(file, asked).catch(() => null);
      if (mine !== turn) return; // others were chosen meanwhile, or another model
      text.textContent = guess ?? "failed";
      button.ariaLabel = `${file.name}: ${text.textContent}`;
      button.classList.toggle("failed", guess === null);
    }
  }

  return {
    take(files, view) {
      entries = files.map((file) => entryOf(file, view));
      byId("strip").replaceChildren(...entries.map(({ button }) => h("li", button)));
      byId("strip").hidden = entries.length < 2;
      select(entries[0]);
      label();
    },
    /** Something else lies on the pad. */
    leave: () => (chosen = null),
    label,
    update({ source }) {
      for (const { file, button } of entries) button.ariaCurrent = String(file === source.file);
    },
  };
}

async function guessOf(file, { name, version }) {
  const type = file.type.startsWith("image/") ? file.type : "application/octet-stream";
  const { prediction } = await predict({ body: file, type }, { model: name, version, include: "" });
  return prediction.class;
}
