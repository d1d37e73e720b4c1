/** The jobs, the newest first; asks again every few seconds while it is seen. */

import { ask } from "../api.js";
import { h } from "../dom.js";
import { hush, tell } from "./tellings.js";
import { sayings } from "./html.js";
import { about, ago, ENDED, progress, scored, showState, upper } from "./words.js";

const EVERY = 3000;
const ACTIVE = ["queued", "starting", "running", "stopping", "interrupted"];
const FILTERS = { all: [], active: ACTIVE, succeeded: ["succeeded"], failed: ["failed"], cancelled: ["cancelled"] };
let page = null;

export function open(place, query) {
  const filter = Object.hasOwn(FILTERS, query.get("status")) ? query.get("status") : "all";
  const after = query.get("after");
  const wanted = new URLSearchParams({ limit: 20, ...(after && { after }) });
  for (const state of FILTERS[filter]) wanted.append("status", state);
  const nothing = filter === "all" ? "No job yet. The preset digits takes a minute." : "No job is in this state.";
  page = {
    address: `v1/jobs?${wanted}`, filter, entries: new Map(), wait: new AbortController(), timer: 0,
    say: sayings(),
    list: h("ol.rows", { ariaLabel: "Jobs" }),
    empty: h("p.none", { hidden: true }, nothing),
    older: h("a", { hidden: true }, "Older →"),
  };
  const filters = Object.keys(FILTERS).map((name) =>
    h("a", { href: link(name), ...(name === filter && { ariaCurrent: "true" }) }, upper(name)));
  const newest = h("a", { href: link(filter), hidden: !after }, "← Newest");
  const pages = h("nav.pages", { ariaLabel: "Pages" }, newest, page.older);
  const heading = h("div.heading", h("h2", "Jobs"), h("a.button", { href: "#jobs/new" }, "New job"));
  place.append(heading, h("nav.filters", { ariaLabel: "State" }, filters), page.say, page.list, page.empty, pages);
  document.addEventListener("visibilitychange", look);
  look();
}

export function close() {
  page.wait.abort();
  clearTimeout(page.timer);
  document.removeEventListener("visibilitychange", look);
}

function link(status, after) {
  const query = new URLSearchParams({ ...(status !== "all" && { status }), ...(after && { after }) });
  return `#jobs${query.size ? `?${query}` : ""}`;
}

async function look() {
  const mine = page;
  clearTimeout(mine.timer);
  mine.wait.abort();
  if (document.hidden) return;
  const { signal } = (mine.wait = new AbortController());
  try {
    show(mine, await ask(mine.address, { signal }));
    hush(mine.say);
  } catch (error) {
    if (signal.aborted) return;
    tell(mine.say, error, look);
    if (error.status === 401) return;
  }
  if (!signal.aborted) mine.timer = setTimeout(look, EVERY);
}

/** Entries stay the same elements, so that focus and a click in progress stay where they are. */
function show(mine, { jobs, next }) {
  const before = [...mine.entries.keys()].join();
  mine.entries = new Map(jobs.map((job) => [job.id, mine.entries.get(job.id) ?? createEntry(job)]));
  for (const job of jobs) mine.entries.get(job.id).update(job);
  if (before !== [...mine.entries.keys()].join()) {
    mine.list.replaceChildren(...Array.from(mine.entries.values(), ({ item }) => item));
  }
  mine.empty.hidden = jobs.length > 0;
  mine.older.hidden = !next;
  mine.older.href = link(mine.filter, next);
}

function createEntry(entry) {
  const { id, name } = entry;
  const [state, words, result, age] = [h("div.is"), h("span.legend"), h("div.result"), h("div.age")];
  const bar = h("progress", { max: 1, ariaLabel: `Progress of ${name}` });
  const facts = h("span.legend", about(entry).join(" · "));
  const what = h("div.what", h("a.name", { href: `#jobs/${id}` }, name), facts);
  const item = h("li", state, what, h("div.doing", bar, words), result, age);
  const update = (job) => {
    showState(state, job);
    const [share, text] = progress(job);
    bar.hidden = ENDED.includes(job.state) || share === null;
    bar.value = share ?? 0;
    words.textContent = ["failed", "queued"].includes(job.state) ? upper(job.reason) : upper(text || " ");
    result.textContent = scored(job);
    age.replaceChildren(ago(job.created));
  };
  return { item, update };
}
