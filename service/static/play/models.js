/** The models of the service, and which of them are asked. */

import { createAgain } from "../again.js";
import { ask } from "../api.js";
import { byId, h } from "../dom.js";
import { keyForm } from "../key.js";
import { percent } from "./guess.js";

/** Of every model and version: `{name, version, info}`; the default one of each model first. */
let choices = [];
let preferred = null;
let remark = null;
const again = createAgain();
let wait = new AbortController();

/** The choice that this `{name, version}` means; the default one for null, undefined where it is not served. */
export function served(wanted) {
  if (!wanted) return preferred;
  return choices.find(({ name, version }) => name === wanted.name && (!wanted.version || version === wanted.version));
}

/** Ask for the models, until there are some; what stands in the way is told at the top of the page. */
export async function loadModels(then) {
  leaveModels();
  const { signal } = (wait = new AbortController());
  try {
    const { default_model: name, models, refused } = await ask("v1/models", { signal });
    again.worked();
    choices = models.flatMap(versionsOf);
    preferred = choices.find((choice) => choice.name === name) ?? choices[0] ?? null;
    if (!choices.length) showNotice(...noModel(refused));
    else if (remark === null) hideNotice();
    then();
  } catch (error) {
    if (signal.aborted) return;
    if (error.status === 401) return askForKey(then);
    showNotice(error.message);
    if (error.retryAfter) again.later(() => loadModels(then), error.retryAfter);
  }
}

/** Ask for them no longer. */
export function leaveModels() {
  again.cancel();
  wait.abort();
}

export function askForKey(then) {
  if (byId("key")) return;
  const form = keyForm("This service asks for a key. Whoever runs it makes one with stn keys create.", () => {
    hideNotice();
    loadModels(then);
  });
  showNotice(form);
  byId("key").focus();
}

function showNotice(...children) {
  byId("notice").replaceChildren(...children);
  byId("notice").hidden = false;
  remark = null;
}

/** A sentence that stands until something else is on the pad. */
export function showRemark(text) {
  showNotice(text);
  remark = text;
}

export function hideRemark() {
  if (remark !== null) hideNotice();
}

function hideNotice() {
  byId("notice").replaceChildren();
  byId("notice").hidden = true;
  remark = null;
}

/** Fill both pickers; `choose("model" | "second", {name, version} or null)` is told what is picked. */
export function createPickers(choose) {
  for (const id of ["model", "second"]) {
    byId(id).addEventListener("change", ({ target }) => {
      const { name, version } = choices[target.value] ?? {};
      choose(id, name ? { name, version } : null);
    });
  }
  return {
    update({ model, second }) {
      const first = served(model) ?? preferred;
      const beside = second && served(second);
      const others = choices.filter((choice) => choice !== first || choice === beside);
      fill(byId("model"), choices, first, choices.length ? null : "none yet");
      fill(byId("second"), others, beside, others.length ? "nothing" : "no other model yet");
      const info = first?.info;
      byId("facts").textContent = info ? describe(info).join(" · ") : "";
    },
  };
}

function versionsOf({ name, default_version: first, versions }) {
  const known = versions.filter(({ task }) => task !== "align").toReversed().map((info) => ({ name, version: info.version, info }));
  return known.sort((a, b) => (b.version === first) - (a.version === first));
}

/** `none` is what the choice of none is called, where there is one. A picker that leaves no choice is disabled. */
function fill(picker, offered, chosen, none) {
  const options = offered.map((choice) => new Option(`${choice.name}, version ${choice.version}`, choices.indexOf(choice)));
  if (none) options.unshift(new Option(none, ""));
  picker.replaceChildren(...options);
  picker.value = chosen ? String(choices.indexOf(chosen)) : "";
  picker.disabled = options.length < 2;
}

function describe(info) {
  const accuracy = info.scores["test/accuracy"];
  return [
    info.transform ? `${info.transform.replaceAll("_", "-")} transformer` : "no transformer",
    `reads ${info.width} × ${info.height} ${info.channels === 1 ? "grey" : "colour"}`,
    ...(accuracy === undefined ? [] : [`test accuracy ${percent(accuracy)}`]),
  ];
}

function noModel(refused) {
  const files = refused.map(({ file, reason }) => h("li", `${file} is not served: ${reason}`));
  return [
    h("p", "There is no model yet. Train one, then start the service again:"),
    h("pre", "stn train digits\nstn serve"),
    h("ul", ...files),
  ];
}
