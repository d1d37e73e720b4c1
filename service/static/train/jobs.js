/** Jobs: the list, the form for a new one, or one of them; the address says which. */

import { byId, h } from "../dom.js";
import { load } from "../lazy.js";
import { hush } from "./tellings.js";

const PARTS = { list: () => import("./list.js"), new: () => import("./form.js"), job: () => import("./job.js") };
let turn = 0;
let shown = null;

export async function open(path, query) {
  hush();
  const name = !path.length ? "list" : path[0] === "new" ? "new" : "job";
  const mine = ++turn;
  const part = await load(PARTS[name]);
  if (mine !== turn) return; // the address has changed while the module was loaded
  shown?.close();
  shown = part;
  const place = h(`div.${name}`);
  byId("jobs").replaceChildren(place);
  part.open(place, query, path[0]);
}

export function close() {
  turn++;
  shown?.close();
  shown = null;
}
