/** The models of the service, and which of them are asked. */

import { KeyNeeded, listModels } from "../api.js";
import { byId, element } from "../dom.js";
import { keyForm } from "../key.js";

/** Of every model and version: `{name, version, info}`; the default one of each model first. */
let choices = [];
let preferred = null;
let remark = null;

/** The choice that this `{name, version}` means; the default one for null, undefined where it is not served. */
export function served(wanted) {
  if (!wanted) return preferred;
  return choices.find(({ name, version }) => name === wanted.name && (!wanted.version || version === wanted.version));
}

/** Ask for the models, until there are some; what stands in the way is told at the top of the page. */
export async function loadModels(then) {
  try {
    const { default_model: name, models, refused } = await listModels();
    choices = models.flatMap(versionsOf);
    preferred = choices.find((choice) => choice.name === name) ?? choices[0] ?? null;
    if (!choices.length) showNotice(...noModel(refused));
    else if (remark === null) hideNotice();
    then();
  } catch (error) {
    if (error instanceof KeyNeeded) askForKey(then);
    else showNotice(error.message);
  }
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
      fill(byId("model"), served(model) ?? preferred, []);
      fill(byId("second"), second && served(second), [new Option("nothing", "")]);
      const info = (served(model) ?? preferred)?.info;
      byId("facts").textContent = info ? describe(info).join(" · ") : "";
    },
  };
}

function versionsOf({ name, default_version: first, versions }) {
  const known = versions.filter(({ task }) => task !== "align").toReversed().map((info) => ({ name, version: info.version, info }));
  return known.sort((a, b) => (b.version === first) - (a.version === first));
}

function fill(picker, chosen, before) {
  const options = choices.map((choice, index) => new Option(`${choice.name}, version ${choice.version}`, index));
  const all = [...before, ...options];
  picker.replaceChildren(...(all.length ? all : [new Option("none yet")]));
  picker.value = chosen ? String(choices.indexOf(chosen)) : (all[0]?.value ?? "");
  picker.disabled = all.length < 2;
}

function describe(info) {
  const scores = Object.entries(info.scores).map(([name, value]) => {
    const shown = name.endsWith("accuracy") ? `${(100 * value).toFixed(1)}%` : value.toPrecision(3);
    return `${name.replace("/", " ")} ${shown}`;
  });
  return [
    info.transform ? `${info.transform} transformer` : "no transformer",
    `reads ${info.width} × ${info.height} ${info.channels === 1 ? "grey" : "colour"}`,
    ...scores,
  ];
}

function noModel(refused) {
  const files = refused.map(({ file, reason }) => element("li", {}, `${file} is not served: ${reason}`));
  return [
    element("p", {}, "There is no model yet. Train one, then start the service again:"),
    element("pre", {}, "stn train digits\nstn serve"),
    element("ul", {}, ...files),
  ];
}
