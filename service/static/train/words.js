/** Numbers, times and states in words. */

import { h } from "../dom.js";

export const ENDED = ["succeeded", "failed", "cancelled"];

export const number = (value) => value.toLocaleString("en");
export const count = (value, noun, plural = `${noun}s`) => `${number(value)} ${value === 1 ? noun : plural}`;
export const percent = (share) => `${(100 * share).toFixed(1)}\u00a0%`;
export const upper = (text) => text[0].toUpperCase() + text.slice(1);

export function bytes(size) {
  const units = ["bytes", "kB", "MB", "GB", "TB"];
  let unit = 0;
  for (; size >= 1000 && unit < 4; unit++) size /= 1000;
  return `${unit && size < 100 ? size.toFixed(1) : Math.round(size)} ${units[unit]}`;
}

export function duration(seconds) {
  if (seconds < 90) return seconds < 1 ? "less than 1 s" : `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return seconds < 172800 ? `${(seconds / 3600).toFixed(1)} h` : `${Math.round(seconds / 86400)} days`;
}

/** How long ago, with the moment itself on hover. */
export function ago(dateTime) {
  const date = new Date(dateTime);
  const seconds = (Date.now() - date) / 1000;
  return h("time", { dateTime, title: date.toLocaleString("en-GB") }, seconds < 5 ? "now" : `${duration(seconds)} ago`);
}

/** Whether a job measures a model, and trains nothing. */
export const measures = ({ config }) => config.task === "invariance";

/** What a job is about: data and network of a training, model and data of a measurement. */
export function about({ config: { task, data, model, aligner, version } }) {
  if (task === "align") return [data.name, `${aligner.transforms.at(-1)} aligner`];
  if (task === "invariance") return [`invariance of version ${version}`, data.name ?? "its own data"];
  return [data.name, `${model.transform} transformer`];
}

/** The accuracy on test pictures or the distance on test pairs, or the first score there is, in words. */
export function scored({ scores }) {
  const known = Object.keys(scores ?? {});
  const name = ["test/accuracy", "test/distance"].find((best) => known.includes(best)) ?? known[0];
  if (!name) return "";
  const value = name.endsWith("accuracy") ? percent(scores[name]) : scores[name].toPrecision(3);
  return `${name.replace("/", " ")} ${value}${name.endsWith("distance") ? " px" : ""}`;
}

/** How far a job is: share of its steps done, and that in words. */
export function progress({ step, steps, eta_seconds: left, state, config }) {
  const noun = config.task === "invariance" ? "picture" : "step";
  const time = Number.isFinite(left) && !ENDED.includes(state) ? `, ${duration(left)} left` : "";
  if (steps) return [step / steps, `${noun} ${number(step)} of ${number(steps)}${time}`];
  return [null, step ? `${noun} ${number(step)}` : ""];
}

/** Show a job's state here, where it is another; `stopped` has succeeded by the best weights until then. */
export function showState(place, { state, stopped }) {
  const name = state === "succeeded" && stopped ? "stopped" : state;
  if (place.textContent !== name) place.replaceChildren(h(`span.state.${name}`, name));
}

/** Which verbs the state allows, as the server has them too. */
export function allowed(job) {
  const { state, stopped, asked, attempt } = job;
  const ended = ENDED.includes(state);
  const resume = ended && (state !== "succeeded" || stopped);
  return { stop: !ended && !asked && attempt > 0 && !measures(job), cancel: !ended && asked !== "cancel", resume, delete: ended };
}
