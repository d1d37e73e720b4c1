/** Layer visibility: every layer of the network with a switch, as tiles, and what each unit looks at. */

import { button, h } from "../dom.js";
import { entriesOf } from "./layer_entries.js";
import { createLayerView } from "./layer_view.js";
import { createLens } from "./lens.js";
import { decode } from "./pictures.js";
import { seenBy } from "./sees.js";

const ALL = "*";

/**
 * Fill `root` with the list. `onShow(names)`, `onScale("local" | "global")` and `onHover(points)` say what is wanted:
 * `["*"]` are all layers, `points` a polygon in pixels of the picture, or null.
 *
 * `update({activations, all, prediction, info, shown, scale})`: without `activations` the layers that are known of this model
 * stay listed; `all` are those of another answer, where this one lacks some. What is not shown is not drawn.
 */
export function createLayers(root, { onShow, onScale, onHover }) {
  const list = h("ol.layers");
  const scales = scaleChoice(onScale);
  const all = button("Show all", () => onShow([ALL]));
  const none = button("Show none", () => onShow([]));
  const lens = createLens();
  const rest = h("p.legend", "The layers between these are listed once all are shown.");
  const views = new Map();
  const dark = matchMedia("(prefers-color-scheme: dark)");
  let state = null;
  let known = { model: "", activations: null };
  let sizes = {};
  let input = null;
  let seen = null; // by the chosen unit, in pixels of the picture
  let drawn = () => {};
  let turn = 0;
  const tools = h("div.layers-tools", all, none, scales.node, rest);
  root.replaceChildren(tools, h("div.layers-inside", list, lens.node));

  async function update(wanted) {
    const mine = ++turn;
    state = { ...wanted, entries: listed(wanted) };
    const shown = state.entries.filter(({ name }) => isShown(name));
    const images = await Promise.all(shown.map(({ url }) => decode(url)));
    const [transformed, read] = await Promise.all(["transformed", "input"].map((name) => decode(wanted.prediction?.[name])));
    if (mine !== turn) return;
    sizes = { input: [wanted.info.width, wanted.info.height] };
    sizes.transformed = transformed ? [transformed.naturalWidth, transformed.naturalHeight] : sizes.input;
    input = shown.length ? read : null;
    arrange();
    scales.set(wanted.scale);
    drawn = () => draw(new Map(shown.map(({ name }, k) => [name, images[k]])));
    drawn();
  }

  /** The layers of this answer; those of an earlier one, without what they gave, where it lacks them. */
  function listed(wanted) {
    const { info, activations } = wanted;
    const model = `${info.model}/${info.version}`;
    if (known.model !== model) known = { model, activations: null };
    known.activations = wanted.all ?? known.activations;
    const here = new Map((activations ?? []).map((layer) => [layer.layer, layer]));
    const missing = (known.activations ?? []).filter(({ layer }) => !here.has(layer)).length > 0;
    if (activations && !missing) known.activations = activations;
    const absent = activations ? "Not asked: theta is given by hand." : "Comes with the next answer.";
    rest.hidden = Boolean(known.activations ?? activations);
    const layers = (known.activations ?? activations ?? []).map(
      (layer) => here.get(layer.layer) ?? { ...layer, image: undefined, values: undefined, absent },
    );
    return entriesOf({ ...wanted, activations: layers });
  }

  function isShown(name) {
    return state.shown.includes(ALL) || state.shown.includes(name);
  }

  function toggle(name, shown) {
    const names = state.entries.map((entry) => entry.name).filter(isShown);
    onShow(shown ? [...names, name] : names.filter((other) => other !== name));
  }

  /** One view per layer, in their order, with a heading before each part of the network. */
  function arrange() {
    const names = state.entries.map(({ name }) => name);
    if (names.join("\n") === [...views.keys()].join("\n")) return;
    views.clear();
    const rows = [];
    let group = "";
    for (const entry of state.entries) {
      if (entry.group && entry.group !== group) rows.push(h("li.layer-group", h("h3", entry.group)));
      group = entry.group;
      const { name } = entry;
      views.set(name, createLayerView({ onToggle: (shown) => toggle(name, shown), onUnit: point }));
      rows.push(views.get(name).node);
    }
    list.replaceChildren(...rows);
  }

  function draw(images) {
    lens.draw(input, seen, state.prediction, state.info);
    const options = { local: state.scale !== "global", dark: dark.matches, width: list.clientWidth };
    for (const entry of state.entries) {
      const image = images.get(entry.name);
      const shape = entry.shape ?? (sizes.transformed && [1, ...sizes.transformed.toReversed()]);
      views.get(entry.name).draw({ ...entry, shape }, image, { ...options, shown: isShown(entry.name) });
    }
  }

  function point(layer, unit) {
    const { prediction, info } = state;
    seen = unit && prediction ? seenBy(layer, [unit.i, unit.j], sizes[layer.of], prediction, info) : null;
    lens.draw(input, seen, prediction, info);
    onHover(seen);
  }

  dark.addEventListener("change", () => drawn());
  let width = 0;
  new ResizeObserver(() => {
    if (list.clientWidth === width) return;
    width = list.clientWidth;
    drawn();
  }).observe(list);
  return { update };
}

function scaleChoice(onScale) {
  const [local, global] = ["each channel’s own range", "the layer’s range"].map((text) => `Colours: ${text}`);
  const choice = h("select", { ariaLabel: "Colour scale" }, new Option(local, "local"), new Option(global, "global"));
  choice.onchange = () => onScale(choice.value);
  return { node: choice, set: (value) => (choice.value = value ?? "local") };
}
