/** What the pointer does on the pad, the pen's width, and steps back and forth. */

import { button, byId, h } from "../dom.js";
import { EMPTY, STRAIGHT, isEmpty } from "./state.js";

const TOOLS = { draw: "Draw", erase: "Erase", move: "Move" };

/** `tool()` and `width()`; `changed` is told when the tool is another. */
export function createTools(store, changed) {
  let tool = "draw";
  const choices = Object.entries(TOOLS).map(([name, text]) => button(text, () => pick(name)));
  const [undo, redo, clear] = [
    button("Undo", store.undo, { title: "Ctrl+Z", ariaKeyShortcuts: "Control+Z" }),
    button("Redo", store.redo, { title: "Ctrl+Shift+Z", ariaKeyShortcuts: "Control+Shift+Z" }),
    button("Clear", empty),
  ];
  const width = h("input", { type: "range", id: "width", min: 16, max: 160, step: 4, value: 64 });
  byId("tools").replaceChildren(
    group("Tool", ...choices),
    group("Steps", undo, redo, clear),
    h("div.width", h("label", { htmlFor: "width" }, "Pen width"), width),
  );

  function choose(name) {
    tool = name;
    choices.forEach((choice, index) => (choice.ariaPressed = String(Object.keys(TOOLS)[index] === name)));
    byId("pad-stage").dataset.tool = name;
  }

  function pick(name) {
    choose(name);
    changed();
  }

  function empty() {
    store.set({ source: EMPTY.source, view: STRAIGHT, theta: null });
    store.keep();
  }

  document.addEventListener("keydown", (event) => {
    if (byId("play").hidden || !(event.ctrlKey || event.metaKey) || isTyping(event.target)) return;
    const key = event.key.toLowerCase();
    if (key === "z" && !event.shiftKey) store.undo();
    else if (key === "y" || key === "z") store.redo();
    else return;
    event.preventDefault();
  });

  choose("draw");
  return {
    tool: () => tool,
    width: () => Number(width.value),
    pick,
    update(state) {
      // Not `disabled`: a button that is pressed until there is nothing left keeps the focus.
      undo.ariaDisabled = String(!store.canUndo());
      redo.ariaDisabled = String(!store.canRedo());
      clear.ariaDisabled = String(isEmpty(state));
    },
  };
}

function group(label, ...children) {
  return h("div.group", { role: "group", ariaLabel: label }, ...children);
}

function isTyping({ tagName, type }) {
  return tagName === "INPUT" && !["range", "checkbox", "file"].includes(type);
}
