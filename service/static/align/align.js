/** Align: two pictures, one laid on the other, and a slider that fades or wipes between them. Loaded when one goes there. */

import { ask } from "../api.js";
import { byId, button, h, svgElement } from "../dom.js";
import { mapOf, thetaOf } from "../play/transforms.js";
import { hush, tell } from "../train/tellings.js";
import { sample } from "./sample.js";

const LINES = 8; // of the grid, each way
const PIECES = 32; // of each, where a spline bends it
const SECONDS = 2; // of refinement
const BETWEEN = "Between the fixed picture and the moving one";
/** The files and the model, null for the first that aligns; `turn` counts the questions, of which only the last is answered. */
const state = { moving: null, fixed: null, model: null, turn: 0 };
let parts = null;

/** `model` and `version` of the query name the model. */
export function open(path, query) {
  hush();
  parts ??= build();
  const [name, version] = [query.get("model"), query.get("version")];
  state.model = name ? { model: name, ...(version && { version }) } : null;
  parts.words.textContent = name ? `By ${name}${version ? `, version ${version}` : ""}.` : "";
  if (state.moving && state.fixed) lay();
}

export function close() {
  state.turn++;
}

function build() {
  const place = byId("align");
  const made = {
    say: h("div.notice", { role: "status", hidden: true }),
    slots: { moving: slot("moving", "Moving"), fixed: slot("fixed", "Fixed") },
    refine: h("input", { type: "checkbox", onchange: lay }),
    result: h("figure.laid", { hidden: true }),
    words: h("p.legend", { role: "status" }),
    fixed: h("img", { alt: "The fixed picture" }),
    warped: h("img", { alt: "The moving picture, laid on the fixed one" }),
    slider: h("input", { type: "range", min: 0, max: 100, value: 50, oninput: slide, ariaLabel: BETWEEN }),
    wipe: h("input", { type: "radio", name: "align-how", onchange: slide }),
    fade: h("input", { type: "radio", name: "align-how", checked: true, onchange: slide }),
    grid: h("input", { type: "checkbox", checked: true, onchange: showGrid }),
    save: h("a.button.quiet", { download: "aligned.png" }, "Save the picture"),
  };
  const ends = ["Fixed", "Moving"].map((text) => h("span", { ariaHidden: "true" }, text));
  made.result.append(
    h("div.stack", made.fixed, made.warped),
    h("div.options",
      ends[0], made.slider, ends[1],
      h("span.options", h("label", made.fade, "Fade"), h("label", made.wipe, "Wipe")),
      made.save,
    ),
  );
  place.append(
    h("div.pair", made.slots.moving.node, made.slots.fixed.node),
    h("div.options",
      button("Try a sample", trySample, { className: "button quiet" }),
      h("label", made.refine, `Refine, up to ${SECONDS} s`),
      h("label", made.grid, "Grid"),
    ),
    made.words,
    made.say,
    made.result,
  );
  return made;
}

/** A picture's place: chosen, or dropped. */
function slot(name, title) {
  const id = `align-${name}`;
  const picture = h("img", { alt: `The ${name} picture`, hidden: true });
  const lines = svgElement("svg", { "aria-hidden": "true" });
  const file = h("input.unseen", { id, type: "file", accept: "image/png,image/jpeg,image/webp,image/gif,image/bmp" });
  const choose = h("label.button.quiet", { htmlFor: id }, `Choose the ${name} picture`);
  const node = h("figure.slot", h("figcaption", title), h("div.stack", picture, lines), file, choose);
  file.onchange = () => {
    take(name, file.files[0]);
    file.value = ""; // the same file may be chosen again
  };
  node.ondragover = node.ondragleave = node.ondrop = (event) => {
    if (!event.dataTransfer.types.includes("Files")) return;
    event.preventDefault();
    node.classList.toggle("over", event.type === "dragover");
    if (event.type === "drop") take(name, event.dataTransfer.files[0]);
  };
  return { node, picture, lines };
}

function take(name, file) {
  if (!file) return;
  const { picture } = parts.slots[name];
  URL.revokeObjectURL(picture.src);
  state[name] = file;
  picture.src = URL.createObjectURL(file);
  picture.hidden = false;
  lay();
}

async function trySample() {
  const { moving, fixed } = await sample();
  state.moving = null; // both are taken before anything is asked
  take("fixed", fixed);
  take("moving", moving);
}

async function lay() {
  if (!state.moving && !state.fixed) return;
  if (!state.moving || !state.fixed) return void (parts.words.textContent = "Choose the other picture, too.");
  const turn = ++state.turn;
  const body = new FormData();
  for (const name of ["moving", "fixed"]) body.append(name, state[name]);
  parts.words.textContent = "Looking …";
  hush(parts.say);
  const began = performance.now();
  try {
    const query = new URLSearchParams({ ...state.model, ...(parts.refine.checked && { refine: SECONDS }) });
    const answer = await ask(`v1/align?${query}`, { method: "POST", body });
    if (turn === state.turn) show(answer, performance.now() - began);
  } catch (error) {
    if (turn !== state.turn) return;
    parts.result.hidden = true;
    parts.words.textContent = "";
    state.answer = null;
    showGrid();
    tell(parts.say, error, lay, "predict");
  }
}

function show(answer, milliseconds) {
  state.answer = answer;
  parts.fixed.src = parts.slots.fixed.picture.src;
  parts.warped.src = parts.save.href = answer.warped;
  const sure = `${Math.round(100 * answer.confidence)} % sure`;
  const doubt = answer.confidence < 0.5 ? "; the pictures may have nothing in common" : "";
  const refined = answer.refined ? ["refined"] : [];
  const by = state.model ? [`${answer.model}, version ${answer.version}`] : [];
  const time = `${Math.round(milliseconds)} ms`;
  parts.words.textContent = [`${sure}${doubt}`, ...refined, ...answer.notes, time, ...by].join(" · ");
  parts.result.hidden = false;
  slide();
  showGrid();
}

function slide() {
  const share = parts.slider.value / 100;
  parts.warped.style.opacity = parts.fade.checked ? share : 1;
  parts.warped.style.clipPath = parts.fade.checked ? "none" : `inset(0 ${100 * (1 - share)}% 0 0)`;
}

/** The fixed picture's grid as it lies on the moving one. */
function showGrid() {
  const { answer } = state;
  const { lines, picture } = parts.slots.moving;
  lines.replaceChildren();
  if (!answer || !parts.grid.checked) return;
  const draw = () => {
    const [width, height] = [picture.naturalWidth, picture.naturalHeight];
    lines.setAttribute("viewBox", `0 0 ${width} ${height}`);
    const rows = lattice(mapOf(thetaOf(answer)), width, height);
    lines.replaceChildren(...rows.map((points) => svgElement("polyline", { points: points.join(" ") })));
  };
  picture.decode().then(draw, () => {});
}

/** Lines of points of the moving picture, in its pixels. */
function lattice(map, width, height) {
  const at = (point) => map(point).map((value, axis) => ((value + 1) / 2) * [width, height][axis]);
  const along = (count) => Array.from({ length: count + 1 }, (_, index) => (2 * index) / count - 1);
  const line = (pointOf) => along(PIECES).map((place) => at(pointOf(place)));
  return along(LINES).flatMap((fixed) => [line((x) => [x, fixed]), line((y) => [fixed, y])]);
}
