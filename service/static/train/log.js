/** What the processes of a job have written, as it comes; it follows the newest line unless somebody has scrolled up. */

import { h } from "../dom.js";
import { button } from "./html.js";
import { followEvents } from "./stream.js";

/** Lines that are shown of what was written before. */
const TAIL = 500;
/** Characters that are kept. */
const MOST = 300_000;

/** `{node, follow(url, signal)}`; a second `follow` goes on where the first was ended. */
export function createLog() {
  const text = document.createTextNode("");
  const pane = h("pre.log", { tabIndex: 0, role: "region", ariaLabel: "Log" }, text);
  const toEnd = () => (pane.scrollTop = pane.scrollHeight);
  const newest = button("To the newest line", () => (toEnd(), pane.focus()), { hidden: true });
  pane.onscroll = () => (newest.hidden = pane.scrollTop + pane.clientHeight >= pane.scrollHeight - 8);
  new ResizeObserver(() => newest.hidden && toEnd()).observe(pane); // its lines wrap anew
  const add = (more) => {
    const follows = newest.hidden;
    text.appendData(more);
    if (text.length > MOST) text.deleteData(0, text.data.indexOf("\n", text.length - MOST) + 1);
    if (follows) toEnd();
  };
  let place = null; // how far it was read, in bytes
  const take = ({ id, data }) => {
    place = id;
    add(data);
  };
  const follow = (url, signal) => followEvents(`${url}?tail=${TAIL}`, place, take, () => {}, signal);
  return { node: h("div.logged", pane, newest), follow };
}
