/** Data sets: those that there are, and one more by a file. */

import { ask } from "../api.js";
import { byId, h } from "../dom.js";
import { addressOf, hush, tell } from "./tellings.js";
import { button, confirmed, sayings, scrolls } from "./html.js";
import { createUpload, leftOut, trainOn, trainOnOwn } from "./upload.js";
import { ago, bytes, count, number } from "./words.js";

const MOST_CLASSES = 24;
const view = byId("data");
const say = sayings();
const list = h("ul.sets", { ariaLabel: "Data sets of this service" });
const known = h("p.known");
let wait = new AbortController();

view.append(h("h2", "Data sets"), say, createUpload(view, say, refresh), list, known);

export function open([name]) {
  hush();
  refresh(name);
}

export function close() {
  wait.abort();
  hush(say);
}

async function refresh(wanted) {
  wait.abort();
  wait = new AbortController();
  const { signal } = wait;
  try {
    const { datasets, known: names } = await ask("v1/datasets", { signal });
    hush(say);
    list.replaceChildren(...datasets.map((set) => card(set, signal)));
    if (!datasets.length) list.append(h("li.none", "No data set yet."));
    const links = names.flatMap((name) => [h("a", { href: trainOn(name, "digits") }, name), " "]);
    known.replaceChildren("Without an upload: ", ...links);
    byId(`set-${wanted}`)?.focus();
  } catch (error) {
    tell(say, error, () => refresh(wanted));
  }
}

function card(set, signal) {
  const { name } = set;
  const classes = Object.entries(set.classes);
  const wrong = h("p.wrong", { role: "alert" });
  const inside = scrolls(`Contact sheet of ${name}`);
  const details = h("details", h("summary", "Contact sheet, and what was left out"), inside);
  details.ontoggle = () => inside.firstChild || showDetails(inside, set, signal);
  return h(
    "li.set",
    { id: `set-${name}`, tabIndex: -1 },
    h("div.heading", h("h3", name), h("div.actions",
      button("Delete", () => remove(set, wrong), { ariaLabel: `Delete ${name}` }),
      h("a.button", { href: trainOnOwn(set), ariaLabel: `Train on this: ${name}` }, "Train on this"))),
    h("p.legend", factsOf(set, classes.length), " · added ", ago(set.created)),
    wrong, bars(classes), details,
  );
}

function factsOf(set, classes) {
  const [low, high] = [set.smallest, set.largest].map(([height, width]) => `${width} × ${height}`);
  const sides = low === high ? low : `${low} to ${high}`;
  const test = set.test_images === null ? "" : ` · ${number(set.test_images)} kept for the test`;
  const counts = `${count(set.images, "picture")} · ${count(classes, "class", "classes")}`;
  return `${counts} · ${sides}, ${set.channels} · ${bytes(set.bytes)}${test}`;
}

function bars(classes) {
  const most = Math.max(...classes.map(([, images]) => images));
  const rows = classes.slice(0, MOST_CLASSES).map(([name, images]) => {
    const bar = h("meter", { max: most, value: images, ariaHidden: "true" });
    return h("li", h("span.name", { title: name }, name), bar, h("span", number(images)));
  });
  const more = classes.length - MOST_CLASSES;
  if (more > 0) rows.push(h("li.legend", `and ${count(more, "more class", "more classes")}`));
  return h("ul.counts", { ariaLabel: "Pictures of each class" }, rows);
}

async function showDetails(inside, { name }, signal) {
  try {
    const address = `v1/datasets/${name}`;
    const [src, report] = await Promise.all([addressOf(`${address}/sheet`, signal), ask(address, { signal })]);
    inside.replaceChildren(h("img", { src, alt: `Pictures of each class of ${name}` }), ...leftOut(report));
  } catch (error) {
    tell(say, error);
  }
}

async function remove(set, wrong) {
  wrong.textContent = "";
  const text = `${count(set.images, "picture")} are deleted for good. Models that were trained on them stay.`;
  if (!(await confirmed(`Delete the data set ${set.name}?`, text, "Delete"))) return;
  try {
    await ask(`v1/datasets/${set.name}`, { method: "DELETE" });
    await refresh();
    byId("set-file").focus();
  } catch (error) {
    if (error.status === 401) tell(say, error, () => remove(set, wrong));
    else wrong.textContent = error.message;
  }
}
