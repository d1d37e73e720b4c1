/** One job: state, progress, curves, filmstrip, log and files, as they come; and what can be asked of it. */

import { ask } from "../api.js";
import { h } from "../dom.js";
import { load } from "../lazy.js";
import { hush, tell } from "./tellings.js";
import { keyHeader } from "../key.js";
import { createCurves } from "./curves.js";
import { fileLink, showFiles } from "./files.js";
import { createFilmstrip } from "./filmstrip.js";
import { button, confirmed, sayings } from "./html.js";
import { createLog } from "./log.js";
import { followEvents } from "./stream.js";
import { about, ago, allowed, duration, ENDED, measures, progress, scored, showState, upper } from "./words.js";

const QUESTIONS = {
  cancel: [
    "Cancel this job?",
    "What it has learnt is discarded. Stop it instead to keep its best weights.",
    "Cancel the job",
  ],
  cancelQueued: ["Cancel this job?", "It has not begun yet.", "Cancel the job"],
  cancelMeasuring: ["Cancel this job?", "What it has measured is discarded.", "Cancel the job"],
  delete: [
    "Delete this job?",
    "Its log, checkpoints and files are deleted for good. A model that it made stays.",
    "Delete",
  ],
};
/** Frames of the filmstrip that one answer holds at most. */
const PAGE = 500;
/** The job that is shown: `known` is what its events have said, `wait` ends what is under way. */
let page = null;

export function open(place, _, id) {
  page = { id, job: null, known: recall(id), wait: new AbortController(), parts: build(place) };
  page.clock = setInterval(() => page.job && showTime(page), 10_000);
  document.addEventListener("visibilitychange", look);
  look();
}

export function close() {
  page.wait.abort();
  clearInterval(page.clock);
  document.removeEventListener("visibilitychange", look);
}

/** While the page is not seen it holds no connection: a browser has six for each server. */
async function look() {
  const mine = page;
  mine.wait.abort();
  if (document.hidden) return;
  const { signal } = (mine.wait = new AbortController());
  try {
    await refresh(mine, signal);
    hush(mine.parts.say);
    await Promise.all([film(mine, signal), mine.measuring]); // so that nothing moves once it is shown
    mine.parts.inside.hidden = false;
    await follow(mine, signal);
  } catch (error) {
    if (signal.aborted) return;
    tell(mine.parts.say, error, look);
    if (error.status === 0 || error.status >= 500) setTimeout(() => signal.aborted || look(), 3000);
  }
}

async function refresh(mine, signal) {
  const turn = (mine.turn = (mine.turn ?? 0) + 1);
  const job = await ask(`v1/jobs/${encodeURIComponent(mine.id)}`, { signal });
  if (signal.aborted || turn !== mine.turn) return; // a later answer says more
  mine.job = job;
  show(mine);
  mine.parts.files.ontoggle();
}

// What comes

async function follow(mine, signal) {
  const { job, known, parts } = mine;
  const trouble = (text) => {
    if (!signal.aborted) [parts.trouble.textContent, parts.trouble.hidden] = [text, !text];
  };
  mine.follows = true;
  parts.log.follow(job.links.logs, signal).catch((error) => tell(parts.say, error, look));
  await followEvents(job.links.events, known.last, (event) => take(mine, event, signal), trouble, signal);
  mine.follows = signal.aborted;
  if (signal.aborted) return;
  await refresh(mine, signal);
  if (!signal.aborted && !ENDED.includes(mine.job.state)) look(); // it was resumed meanwhile
}

function take(mine, { id, event, data: { time, data } }, signal) {
  const { known, job } = mine;
  known.last = id;
  if (event === "metrics") known.metrics[data.step] = data;
  if (event === "state") {
    known.since = time;
    Object.assign(job, data);
    refresh(mine, signal).catch(() => {}); // the stream says where the service is away
  }
  if (event === "sample") film(mine, signal);
  if (event === "progress" && !ENDED.includes(job.state)) {
    for (const [key, value] of Object.entries(data)) if (value !== null || key === "eta_seconds") job[key] = value;
  }
  mine.drawing ??= requestAnimationFrame(() => {
    mine.drawing = null;
    show(mine);
    keep(mine);
  });
}

/** What is kept for the tab: a reload goes on after the event `last`. */
function keep({ id, known }) {
  try {
    sessionStorage.setItem(`job ${id}`, JSON.stringify(known));
  } catch {
    sessionStorage.removeItem(`job ${id}`); // full: a reload begins with the first event
  }
}

function recall(id) {
  return JSON.parse(sessionStorage.getItem(`job ${id}`)) ?? { last: 0, since: null, metrics: {} };
}

async function film(mine, signal) {
  if (mine.filming) return void (mine.filmAgain = true);
  mine.filming = true;
  try {
    const answer = await ask(`${mine.job.links.self}/probe?after=${mine.parts.film.last()}`, { signal });
    mine.parts.film.add(answer);
    mine.filmAgain ||= answer.frames.length >= PAGE;
  } catch (error) {
    if (!signal.aborted && error.status === 401) tell(mine.parts.say, error, look);
  }
  mine.filming = false;
  if (!mine.filmAgain || signal.aborted) return;
  mine.filmAgain = false;
  film(mine, signal);
}

// What is shown

function build(place) {
  const parts = {
    heading: h("h2", { tabIndex: -1 }, "Job"),
    state: h("span", { role: "status" }),
    reason: h("p.reason"),
    trouble: h("p.wrong", { role: "status", hidden: true }),
    say: sayings(),
    bar: h("progress", { max: 1, ariaLabel: "Steps done" }),
    words: h("p.legend"),
    facts: h("p.legend"),
    report: h("p.report"), measured: h("div.measured"),
    model: h("a.button", { hidden: true }),
    config: h("pre.config", { tabIndex: 0, role: "region", ariaLabel: "Config" }),
    curves: createCurves(), film: createFilmstrip(), log: createLog(),
    buttons: ["stop", "cancel", "resume", "delete"].map((verb) => [verb, buttonFor(verb)]),
    frame: h("iframe", { title: "Report", sandbox: "", loading: "lazy" }),
  };
  const files = h("div.scrolls");
  parts.files = h("details.pane", h("summary", "Files and checkpoints"), files);
  parts.files.ontoggle = () => parts.files.open && showFiles(files, parts.say, page.job, page.wait.signal);
  parts.whole = h("details.pane", { open: true, hidden: true }, h("summary", "Report"), parts.frame);
  const actions = h("div.actions", parts.buttons.map(([, made]) => made), parts.model);
  parts.inside = h(
    "div.shown",
    { hidden: true },
    parts.reason, parts.bar, h("div.sides", parts.words, parts.facts), parts.report,
    parts.measured, parts.curves.node, parts.film.node, h("h3", "Log"), parts.log.node,
    parts.files, h("details.pane", h("summary", "Config"), parts.config),
    parts.whole, // comes last, where nothing has to make room for it
  );
  place.append(
    h("div.row", h("a.back", { href: "#jobs" }, "← Jobs"), parts.trouble),
    h("div.heading", h("div.row", parts.heading, parts.state), actions),
    parts.say, parts.inside,
  );
  return parts;
}

const buttonFor = (verb) => button(upper(verb), () => act(page, verb), { hidden: true });

function show(mine) {
  const { job, known, parts } = mine;
  const ended = ENDED.includes(job.state);
  parts.heading.textContent = job.name;
  showState(parts.state, job);
  const [share, text] = progress(job);
  if (share === null && !ended) parts.bar.removeAttribute("value");
  else parts.bar.value = share ?? 0;
  parts.words.textContent = text || (ended ? "No step was done" : "Waits for its first step");
  parts.facts.textContent = factsOf(job, ended).join(" · ");
  parts.curves.show(Object.values(known.metrics), job.config.task); // whose keys, the steps, are in their order
  parts.config.textContent = JSON.stringify(job.config, null, 2);
  showReport(job, parts);
  parts.film.expect(!ended && !measures(job));
  if (measures(job)) mine.measuring = showMeasurement(mine);
  showTime(mine);
  showVerbs(mine);
}

/** The report stands in a frame, where no key is needed: a frame sends none. */
function showReport({ links: { report }, scores, attempt, finished }, { report: line, whole, frame, say }) {
  const known = scored({ scores });
  line.replaceChildren(...(known ? [h("b", upper(known))] : []), ...(report ? [fileLink(report, "Open the report", say)] : []));
  whole.hidden = !report || Boolean(keyHeader().Authorization);
  const address = whole.hidden ? "" : `${report}?of=${attempt}-${finished}`; // another one after a resumption
  if (frame.dataset.shows === address) return;
  frame.dataset.shows = address;
  if (address) frame.src = address;
}

async function showMeasurement({ job, parts, wait }) {
  parts.curves.node.hidden = parts.film.node.hidden = true;
  if (!job.links.report || parts.measured.children.length) return;
  try {
    const { showMeasured } = await load(() => import("./measured.js"));
    hush(parts.say); // it may not have come before
    await showMeasured(parts.measured, job.links.report, wait.signal);
  } catch (error) {
    tell(parts.say, error);
  }
}

function showTime({ job, known, parts }) {
  const asked = job.asked && job.state !== "stopping" ? ` (asked to ${job.asked})` : "";
  parts.reason.replaceChildren(`${upper(job.reason)}${asked}, `, ago(known.since ?? job.updated), ".");
}

function factsOf(job, ended) {
  const seconds = (new Date(job.finished ?? Date.now()) - new Date(job.started)) / 1000;
  return [
    ...(ended || !job.phase || job.phase === "training" ? [] : [job.phase]),
    ...about(job),
    ...(job.attempt > 1 ? [`attempt ${job.attempt}`] : []),
    ...(job.started ? [`ran ${duration(seconds)}`] : []),
  ];
}

function showVerbs({ job, parts }) {
  const verbs = allowed(job);
  for (const [verb, made] of parts.buttons) {
    if (!verbs[verb] && made === document.activeElement) parts.heading.focus();
    made.hidden = !verbs[verb];
  }
  parts.model.hidden = !job.model;
  if (!job.model) return;
  const { name, version } = job.model;
  parts.model.href = `#${job.config.task === "align" ? "align" : "play"}?${new URLSearchParams({ model: name, version })}`;
  parts.model.textContent = `Try this model, version ${version}`;
}

/** What is lost with a job that is cancelled. */
function cancelling(job) {
  if (measures(job)) return "cancelMeasuring";
  return job.attempt ? "cancel" : "cancelQueued";
}

async function act(mine, verb) {
  const asked = verb === "cancel" ? cancelling(mine.job) : verb;
  if (QUESTIONS[asked] && !(await confirmed(...QUESTIONS[asked]))) return;
  const { parts, id } = mine;
  try {
    hush(parts.say);
    if (verb === "delete") {
      mine.wait.abort(); // nothing is asked about a job that is gone
      await ask(`v1/jobs/${id}`, { method: "DELETE" });
      sessionStorage.removeItem(`job ${id}`);
      location.hash = "#jobs";
      return;
    }
    mine.job = await ask(`v1/jobs/${id}/${verb}`, { method: "POST" });
    show(mine);
    if (mine === page && !mine.follows) look();
  } catch (error) {
    tell(parts.say, error, () => act(mine, verb));
    if (mine === page && mine.wait.signal.aborted) look();
  }
}
