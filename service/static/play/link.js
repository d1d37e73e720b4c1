/** The address follows the state, so that it can be sent to others. */

import { byId } from "../dom.js";
import { queryOf } from "./address.js";
import { served } from "./models.js";

const PAUSE = 300; // browsers take an address some times a second and no more

export function createLink(store) {
  let timer = 0;
  let address; // as it was read or written last

  function write() {
    writeState(store.get());
  }

  function writeState(state) {
    stop();
    if (location.hash !== address) return; // it leads elsewhere already
    const query = queryOf(state);
    history.replaceState(null, "", `#play${query && `?${query}`}`);
    follow();
  }

  function follow() {
    address = location.hash;
  }

  function stop() {
    clearTimeout(timer);
    timer = 0;
  }

  byId("copy-link").addEventListener("click", async () => {
    const state = store.get();
    writeState({ ...state, model: state.model ?? served(null) }); // which may be another one tomorrow
    const said = await navigator.clipboard.writeText(location.href).then(
      () => "Copied.",
      () => "Copy it from the address bar.", // without https a page may not write to the clipboard
    );
    byId("link-note").textContent = [said, aboutPicture(store.get())].filter(Boolean).join(" ");
  });

  return {
    write, follow, stop,
    writeSoon() {
      byId("link-note").textContent = aboutPicture(store.get());
      timer ||= setTimeout(write, PAUSE);
    },
  };
}

/** A link holds a drawing to the last point, of a picture at most a small copy. */
function aboutPicture({ source }) {
  if (source.kind !== "picture") return "";
  if (!source.image) return "The link does not hold this file.";
  if (!source.copy) return "The picture is too large for a link, which holds all but that.";
  const { width, height } = source.copy;
  return width ? `The link holds a copy of the picture, ${width} × ${height}.` : "The link holds this copy of the picture.";
}
