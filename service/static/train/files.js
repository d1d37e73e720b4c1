/** The files and checkpoints of a job. */

import { keyHeader } from "../key.js";
import { addressOf, ask, tell } from "./calls.js";
import { h, table } from "./html.js";
import { ago, bytes, count, number } from "./words.js";

/** Fill `place` with what there is now. */
export async function showFiles(place, say, { links }, signal) {
  try {
    const [{ artifacts }, { checkpoints }] = await Promise.all([ask(links.artifacts, { signal }), ask(links.checkpoints, { signal })]);
    const rows = (files) => table(["File", "Size", "Written"], files.map(({ path, link, bytes: size, time }) => [fileLink(link, path, say), bytes(size), ago(time)]));
    const [some, others] = [artifacts.filter(({ path }) => !path.includes("/")), artifacts.filter(({ path }) => path.includes("/"))];
    const kept = checkpoints.map(({ name, bytes: size, time, step }) => [name, bytes(size), ago(time), step === null ? "" : `step ${number(step)}`]);
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
