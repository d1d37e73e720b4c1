/** Play: what is on the pad is sent to the service as it changes, and shown with its answer. */

import { predictUrl } from "../api.js";
import { curlLine, quoted } from "../curl.js";
import { byId, copyText } from "../dom.js";
import { lazyPart, load } from "../lazy.js";
import { toBase64 } from "./base64.js";
import { createAsking, needsActivations } from "./asking.js";
import { showFollowing } from "./follow.js";
import { showFailure, showGuess, showNotSure } from "./guess.js";
import { createLink } from "./link.js";
import { askForKey, createPickers, hideRemark, leaveModels, loadModels, served, showRemark } from "./models.js";
import { createPad } from "./pad.js";
import { cellsOf } from "./payload.js";
import { createSight } from "./sight.js";
import { createSliders } from "./sliders.js";
import { createSources } from "./sources.js";
import { createStore, EMPTY, isEmpty, picture } from "./state.js";
import { showTiming } from "./timing.js";
import { createTools } from "./tools.js";

const CELLS = 42; // until a model says how many it reads
const CURL_PAUSE = 200;

const store = createStore();
const tools = createTools(store, () => showHandles(store.get()));
const pad = createPad(store, tools);
const sliders = createSliders(store);
const pickers = createPickers((field, chosen) => store.set({ [field]: chosen, ...(field === "model" && { theta: null }) }));
const sources = createSources({ show: showSource, model: () => served(store.get().model), fail: (error) => notLoaded(error) });
const link = createLink(store);
const asking = createAsking({ show: showAnswer, fail: showProblem, beside: showBeside, nothing: showNothing });
const sight = createSight(byId("sight"), {
  onTheta: (theta) => store.set({ theta }),
  onReset: () => store.set({ theta: null }),
  fail: (error) => notLoaded(error),
});
/** What is not shown at first is loaded when it is. */
const notLoaded = (error) => showRemark(error.message);
const handles = lazyPart(async () => (await import("./handles.js")).createHandles(store), notLoaded);
const theta = lazyPart(async () => (await import("./theta.js")).createTheta(byId("theta")), notLoaded);
const comparison = lazyPart(async () => {
  const { createComparison } = await import("./comparison.js");
  return createComparison(byId("comparison-list"));
}, notLoaded);
const layers = lazyPart(async () => {
  const { createLayers } = await import("./layers.js");
  return createLayers(byId("layers"), {
    onShow: (names) => store.set({ layers: names }),
    onScale: (colours) => store.set({ colours }),
    onHover: (points) => sight.mark(points),
  });
}, notLoaded);
let frame = 0;
let isOpen = false;
let curlTimer = 0;
/** The model whose layers are all known. */
let listed = null;
/** What of the newest answer the layers show. */
let answered = null;

export async function open(path, query) {
  isOpen = true;
  link.follow();
  if ([...query].length) await read(query);
  else link.write();
  loadModels(showModels); // also those that have been trained since
}

export function close() {
  isOpen = false;
  leaveModels();
  asking.stop();
  link.stop();
}

store.subscribe((state, before) => {
  if (state.source !== before.source) hideRemark();
  if (state.model !== before.model) sources.relabel();
  showState(state);
  if (isOpen) link.writeSoon();
});

function showState(state) {
  const model = served(state.model);
  pad.update(state, model ? cellsOf(model.info) : CELLS);
  for (const part of [tools, sliders, sources]) part.update(state);
  showHandles(state);
  byId("grid").checked = state.grid;
  byId("compare").checked = state.compare;
  byId("inside").open = state.inside;
  byId("play").dataset.state = isEmpty(state) ? "empty" : "shown";
  pickers.update(state);
  byId("measure").hidden = !model;
  byId("shell").ariaBusy = "true"; // until its line is that of what is shown
  askSoon();
}

function showHandles(state) {
  if (tools.tool() === "move") handles.update(state);
}

function askSoon() {
  frame ||= requestAnimationFrame(() => {
    frame = 0;
    if (isOpen) asking.want(store.get(), detailsOf(store.get()));
  });
}

/** What is asked for beside the guess, which takes longer: of the layers also once to know them. */
function detailsOf({ grid, inside, layers: shown, model }) {
  const activations = inside && (needsActivations(shown) || listed !== served(model));
  return [...(grid ? ["grid"] : []), ...(activations ? ["activations"] : [])];
}

// The address

/** Show what an address says; of one that cannot be read the empty pad, and a sentence. */
async function read(query) {
  const reading = await load(() => import("./reading_address.js")).catch(notLoaded);
  if (!reading) return;
  const { BadAddress, stateOf } = reading;
  try {
    const changes = stateOf(query);
    if (changes.source?.copy) {
      const { file, copy } = changes.source;
      const { decodeFile } = await load(() => import("./picture_files.js"));
      const image = await decodeFile(file);
      if (!image) throw new BadAddress("its picture cannot be read");
      changes.source = picture(file, image, copy);
    }
    store.set(changes);
    store.keep();
  } catch (error) {
    if (!(error instanceof BadAddress)) throw error;
    store.set(EMPTY);
    showRemark(`This link is damaged: ${error.message}. Here is an empty pad.`);
  }
}

/** Once the models are known: those of the address may not be among them. */
function showModels() {
  const { model, second } = store.get();
  const missing = [model, second].filter((wanted) => wanted && !served(wanted));
  store.set({
    ...(missing.includes(model) ? { model: null, theta: null } : {}),
    ...(missing.includes(second) ? { second: null } : {}),
  });
  if (missing.length) showRemark(`This service has no classifier ${missing.map(({ name }) => name).join(" and no ")}.`);
  sources.relabel();
  const { theta: given } = store.get();
  const names = served(store.get().model)?.info.parameter_names;
  if (!Array.isArray(given) || !names || given.length === names.length) return;
  store.set({ theta: null });
  showRemark(`The theta of this link has ${given.length} numbers, the model's has ${names.length}: its own is used.`);
}

// Sources

function showSource(changes) {
  store.set({ ...changes, theta: null });
  store.keep();
  if (changes.source.kind === "picture") tools.pick("move");
  else tools.pick("draw");
}

// The answer

function showAnswer({ state, model, prediction, timing, payload, query }) {
  showFollowing(prediction);
  showGuess(prediction, model.info.class_names);
  showTiming(timing);
  const { info } = model;
  const given = state.theta !== null;
  sight.update({ picture: state.source.image, prediction, info, showGrid: state.grid, given });
  theta.update({ prediction, info, given });
  showLayers({ prediction, info, state });
  clearTimeout(curlTimer);
  curlTimer = setTimeout(() => {
    byId("curl").textContent = shellLine(payload, query);
    byId("shell").ariaBusy = String(state !== store.get());
  }, CURL_PAUSE);
  byId("shell").hidden = false;
  const { width, height } = state.source.image ?? prediction;
  byId("source-size").textContent = state.source.kind === "picture" ? `${width} × ${height}` : "";
}

/** A drawing goes into the line itself, a file by its name. */
function shellLine({ body, type, name }, query) {
  const data = `--data-binary @${name === undefined ? "-" : quoted(name)}`;
  return curlLine(predictUrl(query), type, data, name === undefined ? `echo ${toBase64(body)} | base64 -d | ` : "");
}

function showLayers({ prediction, info, state }, all) {
  answered = { prediction, info, state };
  if (!byId("inside").open) return;
  if (all || (prediction?.activations && state.theta === null)) listed = served(state.model);
  const { layers: shown, colours: scale } = state;
  layers.update({ activations: prediction?.activations, all, prediction, info, shown, scale });
}

function showBeside(entries) {
  const own = entries.slice(1).find(({ prediction }) => prediction?.activations);
  if (own && listed !== served(answered.state.model)) showLayers(answered, own.prediction.activations);
  byId("comparison").hidden = entries.length === 0;
  if (entries.length) comparison.update(entries);
  byId("comparison-note").textContent = entries.map(({ problem }) => problem).filter(Boolean).join(" ");
}

function showNothing(model) {
  byId("theta").hidden = true;
  showBeside([]);
  if (model) showLayers({ prediction: null, info: model.info, state: store.get() });
  showFollowing(null);
  showNotSure(model?.info.class_names ?? []);
  showTiming(null);
  sight.update({ picture: null, prediction: null, info: model?.info, showGrid: false, given: store.get().theta !== null });
  clearTimeout(curlTimer);
  byId("shell").hidden = true;
  byId("source-size").textContent = "";
}

function showProblem(error, state) {
  if (error.status === 401) askForKey(showModels);
  showNothing(served(state.model));
  showFailure(state.source.file?.name, error.message, served(state.model)?.info.class_names ?? []);
}

byId("inside").addEventListener("toggle", ({ target }) => store.set({ inside: target.open }));

for (const name of ["grid", "compare"]) {
  byId(name).addEventListener("change", ({ target }) => store.set({ [name]: target.checked }));
}

byId("measure").addEventListener("click", async ({ target }) => {
  const measuring = await load(() => import("./measure.js")).catch(notLoaded);
  measuring?.measure(target, served(store.get().model));
});
byId("copy").addEventListener("click", ({ target }) => copyText(byId("curl"), target));

showState(store.get());
