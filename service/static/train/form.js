/** A new job: a preset, and what differs from it, by the config's own schema. */

import { ask } from "../api.js";
import { curlLine, quoted } from "../curl.js";
import { button, COPY, copyText, h } from "../dom.js";
import { hush, tell } from "./tellings.js";
import { createControl, labelOf, leaves, rangeOf, unitOf } from "./fields.js";
import { sayings } from "./html.js";

/** Shown first; the others by a checkbox, or where they differ from the preset. */
const FIRST = new RegExp(
  "^(name|data\\.name|pairs\\..*|model\\.transform|distortion\\.(?!clutter_size).*" +
  "|optimizer\\.learning_rate|trainer\\.(max_epochs|batch_size))$",
);
/** Groups of fields that a task has nothing to do with. */
const FOREIGN = { classify: ["aligner", "pairs"], align: ["distortion", "model"] };
let wait, form;

export async function open(place, query) {
  form = null;
  wait = new AbortController();
  const { signal } = wait;
  const say = sayings();
  place.replaceChildren(h("a.back", { href: "#jobs" }, "← Jobs"), h("h2", "New job"), say);
  try {
    const [config, own] = await Promise.all([ask("v1/training/config", { signal }), ask("v1/datasets", { signal })]);
    form = build(config, own.datasets.map(({ name }) => name), say);
    place.append(form.node);
    usePreset(config.presets.find(({ name }) => name === query.get("preset")) ?? config.presets[0], query.get("dataset"));
  } catch (error) {
    if (!signal.aborted) tell(say, error, () => open(place, query));
  }
}

export function close() {
  wait.abort();
}

// Making it

function build(config, own, say) {
  const sets = [...new Set([...own, ...config.datasets])];
  const fields = leaves(config.schema).filter(({ path }) => path !== "preset").map((leaf) => createField(leaf, sets));
  const groups = Array.from(Map.groupBy(fields, ({ group }) => group), ([group, inside]) =>
    h("fieldset", { name: group }, h("legend", group ? labelOf(group) : "Job"), inside.map(({ node }) => node)));
  const presets = config.presets.map((preset) => {
    const radio = h("input", { type: "radio", name: "preset", value: preset.name, onchange: () => usePreset(preset) });
    return h("label.preset", radio, h("b", preset.name), h("span", marked(preset.description)));
  });
  const made = {
    config, fields, groups, own, say, preset: null, sent: null,
    all: h("input", { type: "checkbox", id: "all-fields" }),
    wrong: h("p.wrong", { role: "alert" }),
    submit: h("button.button", "Start training"),
    code: h("code", { tabIndex: 0 }),
    place: h("div.groups"),
  };
  const copy = button(COPY, () => copyText(made.code, copy), { ariaLive: "polite" });
  made.shell = h("div", h("h3", "The request, as curl"), h("div.command", made.code, copy));
  made.node = h(
    "form",
    { noValidate: true, oninput: changed, onchange: changed },
    h("div.presets", { role: "radiogroup", ariaLabel: "Preset" }, presets),
    h("p.row", made.all, h("label", { htmlFor: "all-fields" }, "Show all fields")),
    made.place,
    h("div.row", made.submit, made.wrong),
    made.shell,
  );
  made.node.onsubmit = (event) => {
    event.preventDefault();
    submit(made);
  };
  return made;
}

function createField(leaf, sets) {
  const isSet = leaf.path === "data.name";
  const schema = isSet ? { ...leaf.schema, enum: sets } : leaf.schema; // those that there are
  const id = `field-${leaf.path}`;
  const control = createControl({ ...leaf, schema }, id);
  const label = isSet ? "Data set" : labelOf(leaf.path);
  const wrong = h("p.wrong", { id: `${id}-wrong` });
  const range = rangeOf(schema);
  const about = h("p.about", { id: `${id}-about` }, marked(schema.description ?? ""), range && ` (${range})`);
  const field = { ...leaf, ...control, label, wrong, base: null };
  const back = () => {
    field.write(field.base);
    changed();
    field.inputs[0].focus();
  };
  field.reset = h("button.reset", { type: "button", onclick: back });
  for (const input of control.inputs) input.setAttribute("aria-describedby", `${wrong.id} ${about.id}`);
  const row = h("span.row", control.node, h("span.legend", unitOf(schema)), field.reset);
  field.node = h(`div.field.${control.kind}`, h("label", { htmlFor: id }, label), row, wrong, about);
  return field;
}

/** A text in which names between backticks stand out. */
const marked = (text) => text.split("`").map((part, index) => (index % 2 ? h("i", part) : part));

// Filling and reading it

/** Fill the form from a preset; the data set is this one, or stays where another than the preset's was chosen. */
function usePreset(preset, dataset = null) {
  const { fields, own } = form;
  const [name, set] = ["name", "data.name"].map((path) => fields.find((field) => field.path === path));
  const chosen = dataset ?? (form.preset && isOther(set) ? set.read() : null);
  form.preset = preset;
  form.place.replaceChildren(...form.groups.filter((group) => !FOREIGN[preset.config.task].includes(group.name)));
  for (const field of fields) {
    field.base = field.path.split(".").reduce((value, key) => value?.[key], preset.config) ?? null;
    field.write(field.base);
  }
  for (const radio of form.node.elements.preset) radio.checked = radio.value === preset.name;
  if (chosen) set.write(chosen);
  if (own.includes(chosen)) name.write(chosen);
  changed();
}

function isOther(field) {
  try {
    return JSON.stringify(field.read()) !== JSON.stringify(field.base);
  } catch {
    return true;
  }
}

/** What is wrong is said once a field is left, not while it is typed in. */
function changed(event) {
  for (const field of form.fields) {
    mark(field, "");
    const base = JSON.stringify(field.base);
    field.reset.hidden = !isOther(field);
    field.reset.textContent = `preset: ${base === "null" ? "default" : base.replaceAll('"', "")}`;
    field.reset.ariaLabel = `${field.label}: back to the preset`;
  }
  form.wrong.textContent = "";
  const body = read();
  if (event?.type === "input") {
    for (const field of form.fields.filter(({ inputs }) => inputs.includes(event.target))) mark(field, "");
  }
  form.shell.style.visibility = body ? "" : "hidden"; // nobody is to copy what the form does not say; its room stays
  if (body) form.code.textContent = curlLine("v1/jobs", "application/json", `-d ${quoted(JSON.stringify(body))}`);
  showFields();
}

function showFields() {
  for (const field of form.fields) {
    const { path, base, node, wrong } = field;
    const needed = FIRST.test(path) || (path === "trainer.max_steps" && base !== null);
    node.hidden = !(needed || form.all.checked || wrong.textContent || isOther(field));
  }
  for (const group of form.groups) group.hidden = !group.querySelector(".field:not([hidden])");
}

/** The body of the request; null where a field holds what cannot be sent, which is then said beside it. */
function read() {
  const body = { preset: form.preset.name };
  for (const field of form.fields.filter(isOther)) {
    try {
      const names = field.path.split(".");
      const last = names.pop();
      names.reduce((place, key) => (place[key] ??= {}), body)[last] = field.read();
    } catch (error) {
      mark(field, `${field.label} ${error.message}.`);
    }
  }
  return form.fields.some(({ wrong }) => wrong.textContent) ? null : body;
}

function mark({ wrong, inputs }, text) {
  wrong.textContent = text;
  for (const input of inputs) input.ariaInvalid = String(Boolean(text));
}

// Sending it

async function submit(mine) {
  if (mine.submit.disabled) return;
  const body = JSON.stringify(read());
  if (body === "null") return showWrong();
  if (mine.sent?.body !== body) mine.sent = { body, key: newKey() }; // sent again, it is the same job
  mine.submit.disabled = true;
  try {
    const headers = { "Content-Type": "application/json", "Idempotency-Key": mine.sent.key };
    const job = await ask("v1/jobs", { method: "POST", headers, body });
    if (mine === form && !wait.signal.aborted) location.hash = `#jobs/${job.id}`;
  } catch (error) {
    refuse(mine, error);
  }
  mine.submit.disabled = false;
}

/** 128 random bits; `randomUUID` is not there without https. */
const newKey = () => Array.from(crypto.getRandomValues(new Uint32Array(4)), (part) => part.toString(36)).join("-");

function refuse(mine, error) {
  hush(mine.say);
  if (error.status === 401) return tell(mine.say, error, () => submit(mine));
  const named = error.status === 422 && /^[\w.]+/.exec(error.detail)?.[0];
  const field = mine.fields.filter(({ path }) => named === path || `${named}`.startsWith(`${path}.`)).at(-1);
  if (!field) return void (mine.wrong.textContent = error.message);
  mark(field, `${field.label}${error.detail.slice(field.path.length)}.`);
  showWrong();
}

function showWrong() {
  showFields();
  form.fields.find(({ wrong }) => wrong.textContent).inputs[0].focus();
}
