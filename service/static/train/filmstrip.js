/**
 * The same pictures at each validation: how the transformer straightens them, and where on the picture it looks; of an aligner,
 * how one picture of each pair is laid on the other.
 */

import { h, svgElement } from "../dom.js";
import { number, percent } from "./words.js";

/** `{node, last(), expect(whether), add(answer)}`; `add` takes what `GET .../probe` says, `expect` keeps room for it. */
export function createFilmstrip() {
  const film = {
    slider: h("input", { type: "range", id: "film-at", min: 0, max: 0, value: 0 }),
    said: h("output", { htmlFor: "film-at" }),
    inputs: h("ol", { ariaLabel: "Probe pictures, with the sampled region and the guess" }),
    strip: h("div.film-frames", { tabIndex: 0, role: "region", ariaLabel: "Transformed pictures of each validation" }),
    title: h("h3", "How it straightens"),
    rows: [], frames: [], columns: [],
  };
  film.slider.oninput = () => select(film, Number(film.slider.value), true);
  const control = h("div.row", h("label", { htmlFor: "film-at" }, "Validation"), film.slider, film.said);
  const pictures = h("div.film-pictures", film.inputs, film.strip);
  film.node = h("section.film", { hidden: true, ariaLabel: "Filmstrip" }, film.title, control, pictures);
  return {
    node: film.node,
    last: () => film.frames.at(-1)?.step ?? 0,
    expect: (whether) => film.frames.length || expect(film, whether),
    add: (answer) => add(film, answer),
  };
}

function expect(film, whether) {
  if (whether) film.node.hidden = false; // and stays, so that nothing moves
  film.slider.disabled = true;
  film.said.textContent = whether ? "comes with the first one" : "none was done";
}

function add(film, { pictures, frames }) {
  const fresh = frames.filter(({ step }) => step > (film.frames.at(-1)?.step ?? -1));
  if (!fresh.length) return;
  film.node.hidden = film.slider.disabled = false;
  if (!film.rows.length) film.rows = pictures.map(createRow);
  if (pictures[0].fixed) film.title.textContent = "How it lays pictures on each other";
  film.inputs.replaceChildren(...film.rows.map(({ item }) => item));
  const wasNewest = Number(film.slider.value) >= film.frames.length - 1;
  for (const frame of fresh) {
    const index = film.frames.push(frame) - 1;
    const images = frame.items.map(({ transformed }) => h("img", { alt: "", src: transformed }));
    const epoch = h("span.legend", number(Number(frame.epoch.toFixed(1))));
    film.columns.push(h("div.film-frame", { onclick: () => select(film, index) }, epoch, images));
  }
  film.strip.append(...film.columns.slice(-fresh.length));
  film.slider.max = film.frames.length - 1;
  if (wasNewest) select(film, film.frames.length - 1, true);
}

/** Show this validation's outlines and guesses beside the strip. */
function select(film, index, scrolls = false) {
  const { step, epoch, items } = film.frames[index];
  film.slider.value = index;
  film.columns.forEach((column, place) => column.classList.toggle("chosen", place === index));
  const { offsetLeft, offsetWidth } = film.columns[index];
  if (scrolls) film.strip.scrollLeft = offsetLeft + offsetWidth - film.strip.clientWidth;
  film.rows.forEach((row, place) => showItem(row, items[place]));
  film.said.textContent = `epoch ${Number(epoch.toFixed(1))}, step ${number(step)}${scoreOf(film.rows, items)}`;
  film.slider.setAttribute("aria-valuetext", film.said.textContent);
}

function scoreOf(rows, items) {
  const near = items.filter(({ distance }) => distance < 1).length;
  if (items[0].distance !== undefined) return `: ${near} of ${items.length} within 1 px`;
  const known = rows.filter(({ name }) => name !== null).length;
  const right = rows.filter(({ name }, place) => name === items[place].class).length;
  return known ? `: ${right} of ${known} right` : "";
}

function createRow({ image, fixed, class: name }) {
  const polygon = svgElement("polygon", {});
  const corner = svgElement("circle", {});
  const svg = svgElement("svg", { "aria-hidden": "true" }, [polygon, corner]);
  const guess = h("span.film-guess");
  const picture = h("img", { alt: "", src: image });
  picture.onload = () => {
    svg.setAttribute("viewBox", `0 0 ${picture.naturalWidth} ${picture.naturalHeight}`);
    corner.setAttribute("r", picture.naturalWidth / 18);
  };
  const item = h("li", h("span.film-input", picture, svg), fixed ? h("img", { alt: "", src: fixed }) : null, guess);
  return { item, polygon, corner, guess, name };
}

function showItem({ polygon, corner, guess, name }, { outline, class: guessed, probability, distance }) {
  polygon.setAttribute("points", (outline ?? []).join(" "));
  const [x, y] = outline?.[0] ?? [-99, -99];
  corner.setAttribute("cx", x);
  corner.setAttribute("cy", y);
  if (distance !== undefined) {
    return guess.replaceChildren(h("b", `${distance.toPrecision(2)} px`), h("span.legend", `${percent(probability)} sure`));
  }
  const wrong = name !== null && guessed !== name;
  const told = [h(wrong ? "b.wrong" : "b", guessed), wrong ? ` is ${name}` : ""];
  guess.replaceChildren(...told, h("span.legend", percent(probability)));
}
