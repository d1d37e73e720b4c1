/**
 * Which view is shown: the part of the address after `#` says it, as `#play?model=digits` or `#jobs/ID`.
 *
 * Each view is a module with `open(path, query)`, called when the address leads to it or changes within it, and `close()`,
 * called when it leads elsewhere. `path` is what stands between slashes after the view's name, `query` a URLSearchParams.
 */

import { byId } from "./dom.js";
import { load, NotLoaded } from "./lazy.js";

const VIEWS = {
  play: () => import("./play/play.js"),
  align: () => import("./align/align.js"),
  data: () => import("./train/data.js"),
  jobs: () => import("./train/jobs.js"),
};

let shown = null;
let turn = 0;

async function route() {
  const notice = byId("notice");
  try {
    await show();
  } catch (error) {
    if (!(error instanceof NotLoaded)) throw error;
    notice.textContent = error.message;
    notice.hidden = false;
  }
}

async function show() {
  const [address, search = ""] = location.hash.slice(1).split(/\?(.*)/s);
  const [wanted, ...path] = address.split("/").map(decoded);
  const name = Object.hasOwn(VIEWS, wanted) ? wanted : "play";
  const mine = ++turn;
  const view = await load(VIEWS[name]);
  if (mine !== turn) return; // the address has changed while the module was loaded
  if (shown && shown.view !== view) shown.view.close();
  shown = { name, view };
  for (const other of Object.keys(VIEWS)) byId(other).hidden = other !== name;
  for (const link of document.querySelectorAll("nav a")) {
    if (link.hash === `#${name}`) link.ariaCurrent = "page";
    else link.removeAttribute("aria-current");
  }
  await view.open(path.filter(Boolean), new URLSearchParams(search));
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

for (const kind of ["dragover", "drop"]) {
  addEventListener(kind, (event) => {
    if (event.defaultPrevented || !event.dataTransfer.types.includes("Files")) return;
    event.preventDefault(); // a file let go beside its place would be opened instead of the page
    event.dataTransfer.dropEffect = "none";
  });
}
addEventListener("hashchange", route);
for (const link of document.querySelectorAll("nav a")) {
  // A view that did not come is asked for again, although the address says it already.
  link.addEventListener("click", () => link.hash === location.hash && link.ariaCurrent !== "page" && route());
}
route();
