/** The files and checkpoints of a job. */

import { ask } from "../api.js";
import { h } from "../dom.js";
import { keyHeader } from "../key.js";
import { addressOf, tell } from "./tellings.js";
import { table } from "./html.js";
import { ago, bytes, count, number } from "./words.js";

/** Fill `place` with what there is now. */
export async function showFiles(place, say, { links }, signal) {
  try {
    const asked = [links.artifacts, links.checkpoints].map((link) => ask(link, { signal }));
    const [{ artifacts }, { checkpoints }] = await Promise.all(asked);
    const row = ({ path, link, bytes: size, time }) => [fileLink(link, path, say), bytes(size), ago(time)];
    const rows = (files) => table(["File", "Size", "Written"], files.map(row));
    const [others, some] = [true, false].map((inside) => artifacts.filter(({ path }) => path.includes("/") === inside));
    const at = (step) => (step === null ? "" : `step ${number(step)}`);
    const kept = checkpoints.map(({ name, bytes: size, time, step }) => [name, bytes(size), ago(time), at(step)]);
    place.replaceChildren(
      rows(some),
      h("details", h("summary", count(others.length, "file"), " of report and samples"), rows(others)),
      h("p.legend", "Checkpoints, which stay on the server:"),
      table(["Name", "Size", "Written", "At"], kept),
    );
  } catch (error) {
    if (!signal.aborted) tell(say, error);
  }
}

/** A link to a file; where there are keys, which a link cannot send, it fetches the file and saves it. */
export function fileLink(href, text, say) {
  const link = h("a", { href, target: "_blank", rel: "noopener" }, text);
  link.onclick = async (event) => {
    if (!keyHeader().Authorization) return;
    event.preventDefault();
    try {
      h("a", { href: await addressOf(href), download: href.split("/").at(-1) }).click();
    } catch (error) {
      tell(say, error);
    }
  };
  return link;
}
