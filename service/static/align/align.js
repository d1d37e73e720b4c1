/** Align: two pictures, one laid on the other, and a slider that fades or wipes between them. Loaded when one goes there. */

import { byId } from "../dom.js";
import { keyForm, keyHeader } from "../key.js";
import { sample } from "./sample.js";

const LINES = 8; // of the grid, each way
const SECONDS = 2; // of refinement
/** The files; `turn` counts the questions, of which only the last is answered. */
const state = { moving: null, fixed: null, turn: 0 };
let parts = null;

export function open() {
  parts ??= build();
}

export function close() {
  state.turn++;
}

function build() {
  const place = byId("align");
  document.head.append(make("link", { rel: "stylesheet", href: "static/align/align.css" }));
  const made = {
    say: make("div", { className: "notice", hidden: true }),
    slots: { moving: slot("moving", "Moving"), fixed: slot("fixed", "Fixed") },
    refine: make("input", { type: "checkbox", onchange: ask }),
    result: make("figure", { className: "laid", hidden: true }),
    words: make("p", { className: "legend", role: "status" }),
    fixed: make("img", { alt: "The fixed picture" }),
    warped: make("img", { alt: "The moving picture, laid on the fixed one" }),
    slider: make("input", { id: "align-at", type: "range", min: 0, max: 100, value: 50, oninput: slide }),
    wipe: make("input", { type: "radio", name: "align-how", onchange: slide }),
    fade: make("input", { type: "radio", name: "align-how", checked: true, onchange: slide }),
    grid: make("input", { type: "checkbox", checked: true, onchange: () => showGrid() }),
    save: make("a", { className: "button quiet", download: "aligned.png" }, "Save the picture"),
  };
  const tools = make("div", { className: "options" },
    make("button", { type: "button", className: "button quiet", onclick: trySample }, "Try a sample"),
    make("label", {}, made.refine, ` Refine, up to ${SECONDS} s`), make("label", {}, made.grid, " Grid"));
  const between = make("div", { className: "between" },
    make("label", { htmlFor: "align-at" }, "Fixed"), made.slider, make("span", { ariaHidden: "true" }, "Moving"),
    make("label", {}, made.fade, " Fade"), make("label", {}, made.wipe, " Wipe"), made.save);
  made.result.append(make("div", { className: "stack" }, made.fixed, made.warped), between);
  made.slider.ariaLabel = "Between the fixed picture and the moving one";
  place.append(made.say,
    make("div", { className: "pair" }, made.slots.moving.node, made.slots.fixed.node), tools, made.words, made.result);
  return made;
}

/** A picture's place: chosen, or dropped. */
function slot(name, title) {
  const id = `align-${name}`;
  const picture = make("img", { alt: `The ${name} picture`, hidden: true });
  const lines = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  lines.setAttribute("aria-hidden", "true");
  lines.setAttribute("preserveAspectRatio", "none");
  const file = make("input", { id, className: "unseen", type: "file", accept: "image/png,image/jpeg,image/webp,image/gif,image/bmp" });
  const node = make("figure", { className: "slot" },
    make("figcaption", {}, title), make("div", { className: "stack" }, picture, lines),
    file, make("label", { className: "button quiet", htmlFor: id }, `Choose the ${name} picture`));
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
  ask();
}

async function trySample() {
  const { moving, fixed } = await sample();
  state.moving = null; // both are taken before anything is asked
  take("fixed", fixed);
  take("moving", moving);
}

async function ask() {
  if (!state.moving || !state.fixed) return void (parts.words.textContent = "Choose the other picture, too.");
  const turn = ++state.turn;
  const body = new FormData();
  for (const name of ["moving", "fixed"]) body.append(name, state[name]);
  parts.words.textContent = "Looking …";
  parts.say.hidden = true;
  const began = performance.now();
  try {
    const query = parts.refine.checked ? `?refine=${SECONDS}` : "";
    const response = await fetch(`v1/align${query}`, { method: "POST", body, headers: keyHeader() });
    const answer = await response.json();
    if (turn !== state.turn) return;
    if (response.ok) return show(answer, performance.now() - began);
    tell(response.status, answer.detail);
  } catch {
    if (turn === state.turn) tell(0, "the service does not answer: check that it still runs");
  }
}

function tell(status, detail) {
  parts.result.hidden = true;
  parts.words.textContent = "";
  state.answer = null;
  showGrid();
  parts.say.hidden = false;
  if (status !== 401) parts.say.textContent = `${detail[0].toUpperCase()}${detail.slice(1)}.`;
  else parts.say.replaceChildren(keyForm("This service asks for a key. Whoever runs it makes one with stn keys create.", ask));
}

function show(answer, milliseconds) {
  state.answer = answer;
  parts.fixed.src = parts.slots.fixed.picture.src;
  parts.warped.src = parts.save.href = answer.warped;
  const sure = `${Math.round(100 * answer.confidence)} % sure`;
  const doubt = answer.confidence < 0.5 ? "; the pictures may have nothing in common" : "";
  const refined = answer.refined ? ["refined"] : [];
  parts.words.textContent = [`${sure}${doubt}`, ...refined, ...answer.notes, `${Math.round(milliseconds)} ms`].join(" · ");
  parts.result.hidden = false;
  slide();
  showGrid();
}

function slide() {
  const share = parts.slider.value / 100;
  parts.warped.style.opacity = parts.fade.checked ? share : 1;
  parts.warped.style.clipPath = parts.fade.checked ? "none" : `inset(0 ${100 * (1 - share)}% 0 0)`;
}

/** The fixed picture's grid as it lies on the moving one; its border alone where theta is no matrix. */
function showGrid() {
  const { answer } = state;
  const { lines, picture } = parts.slots.moving;
  lines.replaceChildren();
  if (!answer || !parts.grid.checked) return;
  const draw = () => {
    const [width, height] = [picture.naturalWidth, picture.naturalHeight];
    lines.setAttribute("viewBox", `0 0 ${width} ${height}`);
    const rows = answer.theta.matrix ? lattice(answer.theta.matrix, width, height) : [[...answer.outline, answer.outline[0]]];
    lines.replaceChildren(...rows.map((points) => {
      const line = document.createElementNS("http://www.w3.org/2000/svg", "polyline");
      line.setAttribute("points", points.map((point) => point.join()).join(" "));
      return line;
    }));
  };
  picture.decode().then(draw, () => {});
}

/** Lines of points of the moving picture, in its pixels. */
function lattice(matrix, width, height) {
  const at = (x, y) => {
    const [u, v, w = 1] = matrix.map(([a, b, c]) => a * x + b * y + c);
    return [((u / w + 1) / 2) * width, ((v / w + 1) / 2) * height];
  };
  const steps = Array.from({ length: LINES + 1 }, (_, index) => (2 * index) / LINES - 1);
  return steps.flatMap((fixed) => [steps.map((moving) => at(fixed, moving)), steps.map((moving) => at(moving, fixed))]);
}

function make(tag, properties, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}
