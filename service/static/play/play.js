/** Play: files come in, each is sent to the service, and the selected one is shown with its answer. */

import { hideTheta, showClass, showFailure, showNoClass, showTheta } from "./answer.js";
import { curlLine, KeyNeeded, listModels, predict } from "../api.js";
import { byId, element } from "../dom.js";
import { keyForm } from "../key.js";
import { clearPictures, decode, showInput, showTransformed } from "./picture.js";

/** Of every model and version: {name, version, info}. */
let choices = [];
/** The chosen files: {file, url, prediction, failure}, the last two once there is an answer. */
let items = [];
let selected = null;
/** Aborted when other files or another model are chosen, so that no stale answer is shown. */
let run = new AbortController();

// Models

async function loadModels() {
  try {
    const models = await listModels();
    choices = models.models.flatMap(({ name, versions }) =>
      versions.toReversed().map((info) => ({ name, version: info.version, info })),
    );
    fillPicker(models);
    byId("notice").hidden = choices.length > 0;
    if (!choices.length) showNotice(...noModel(models.refused));
  } catch (error) {
    if (error instanceof KeyNeeded) askForKey();
    else showNotice(error.message);
  }
}

function askForKey() {
  if (byId("key")) return;
  showNotice(keyForm("This service asks for a key. Whoever runs it makes one with stn keys create.", useKey));
  byId("key").focus();
}

async function useKey() {
  byId("notice").replaceChildren();
  await loadModels();
  if (selected && chosenModel()) askAll();
}

function fillPicker({ default_model: name, models }) {
  const version = models.find((model) => model.name === name)?.default_version;
  const options = choices.map((choice, index) => {
    const preferred = choice.name === name && choice.version === version;
    return new Option(`${choice.name}, version ${choice.version}`, index, preferred, preferred);
  });
  const picker = byId("model");
  picker.replaceChildren(...(options.length ? options : [new Option("none yet")]));
  picker.disabled = options.length < 2;
  showModel();
}

function chosenModel() {
  return choices[byId("model").value];
}

function showModel() {
  const model = chosenModel();
  byId("facts").textContent = model ? describeModel(model.info).join(" · ") : "";
  if (!selected) showNoClass(model?.info.class_names ?? []);
}

function describeModel(info) {
  const colours = info.channels === 1 ? "grey" : "colour";
  const scores = Object.entries(info.scores).map(([name, value]) => {
    const shown = name.endsWith("accuracy") ? `${(100 * value).toFixed(1)}%` : value.toPrecision(3);
    return `${name.replace("/", " ")} ${shown}`;
  });
  return [
    info.transform ? `${info.transform} transformer` : "no transformer",
    `reads ${info.width} × ${info.height} ${colours}`,
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

function showNotice(...children) {
  byId("notice").replaceChildren(...children);
  byId("notice").hidden = false;
}

// Files

function takeFiles(files) {
  if (!files.length) return;
  for (const item of items) URL.revokeObjectURL(item.url);
  items = Array.from(files, (file) => ({ file, url: URL.createObjectURL(file) }));
  selected = items[0];
  askAll();
}

async function askAll() {
  run.abort();
  run = new AbortController();
  const { signal } = run;
  for (const item of items) item.prediction = item.failure = undefined;
  showStrip();
  show(selected);
  if (!chosenModel()) await loadModels();
  for (const item of items) {
    if (signal.aborted) return;
    await askOne(item, signal);
  }
}

async function askOne(item, signal) {
  const model = chosenModel();
  try {
    if (!model) throw new Error("There is no model to ask.");
    const prediction = await predict(item.file, model, signal);
    if (signal.aborted) return;
    Object.assign(item, { prediction, model });
  } catch (error) {
    if (signal.aborted) return;
    if (error instanceof KeyNeeded) askForKey();
    item.failure = error.message;
  }
  labelInStrip(item);
  if (item === selected) await show(item);
}

// The selected file

/** Show a file's answer at once, all of it; until there is one, what was shown before stays, dimmed. */
async function show(item) {
  byId("main").ariaBusy = String(!item.prediction && !item.failure);
  if (item.failure) showItemFailure(item);
  if (!item.prediction) return;
  const { prediction, model } = item;
  const [picture, transformed] = await Promise.all([
    decode(item.url).catch(() => null),
    decode(prediction.transformed),
  ]);
  if (item !== selected || item.prediction !== prediction) return;
  showInput(picture, prediction, item.file.name);
  showTransformed(transformed);
  showClass(prediction, model.info.class_names);
  showTheta(prediction, {
    input: [model.info.width, model.info.height],
    output: [transformed.naturalWidth, transformed.naturalHeight],
  });
  byId("curl").textContent = curlLine(item.file, model);
  byId("shell").hidden = false;
  byId("bench").dataset.state = "shown";
}

function showItemFailure(item) {
  clearPictures();
  hideTheta();
  byId("shell").hidden = true;
  showFailure(item.file.name, item.failure, chosenModel()?.info.class_names ?? []);
  byId("bench").dataset.state = "failed";
}

// Several files

function showStrip() {
  byId("strip").replaceChildren(...items.map(stripEntry));
  byId("strip").hidden = items.length < 2;
}

function stripEntry(item) {
  const image = element("img", { alt: "", decoding: "async", src: item.url });
  image.addEventListener("error", () => image.removeAttribute("src"));
  item.label = element("span", {}, "…");
  item.button = element("button", { type: "button", title: item.file.name }, image, item.label);
  item.button.ariaLabel = item.file.name;
  item.button.ariaCurrent = String(item === selected);
  item.button.addEventListener("click", () => select(item));
  return element("li", {}, item.button);
}

function labelInStrip(item) {
  item.label.textContent = item.prediction?.class ?? "failed";
  item.button.ariaLabel = `${item.file.name}: ${item.label.textContent}`;
  item.button.classList.toggle("failed", Boolean(item.failure));
}

function select(item) {
  selected.button.ariaCurrent = "false";
  item.button.ariaCurrent = "true";
  selected = item;
  show(item);
}

// Events

byId("file").addEventListener("change", ({ target }) => {
  takeFiles(Array.from(target.files));
  target.value = ""; // the same file may be chosen again
});

document.addEventListener("paste", (event) => takeFiles(event.clipboardData.files));

document.addEventListener("dragover", (event) => {
  if (!event.dataTransfer.types.includes("Files")) return;
  event.preventDefault();
  document.body.classList.add("dragging");
});

document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) document.body.classList.remove("dragging");
});

document.addEventListener("drop", (event) => {
  if (!event.dataTransfer.types.includes("Files")) return;
  event.preventDefault();
  document.body.classList.remove("dragging");
  takeFiles(event.dataTransfer.files);
});

byId("model").addEventListener("change", () => {
  showModel();
  if (selected) askAll();
});

byId("copy").addEventListener("click", async ({ target }) => {
  try {
    await navigator.clipboard.writeText(byId("curl").textContent);
    target.textContent = "Copied";
    setTimeout(() => (target.textContent = "Copy"), 1500);
  } catch {
    getSelection().selectAllChildren(byId("curl")); // without https a page may only select the text
  }
});

export function open() {
  if (!choices.length) loadModels();
}

export function close() {
  run.abort();
}
