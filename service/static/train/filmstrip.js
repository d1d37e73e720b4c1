/** The same pictures at each validation: how the transformer straightens them, and where on the picture it looks. */

import { h, svgElement } from "../dom.js";
import { number, percent } from "./words.js";

/** `{node, last(), add(answer)}`; `add` takes what `GET .../probe` says. */
export function createFilmstrip() {
  const film = {
    slider: h("input", { type: "range", id: "film-at", min: 0, max: 0, value: 0 }),
    said: h("output", { htmlFor: "film-at" }),
    inputs: h("ol", { ariaLabel: "Probe pictures, with the sampled region and the guess" }),
    strip: h("div.film-frames", { tabIndex: 0, role: "region", ariaLabel: "Transformed pictures of each validation" }),
    rows: [], frames: [], columns: [],
  };
  film.slider.oninput = () => select(film, Number(film.slider.value), true);
  const control = h("div.row", h("label", { htmlFor: "film-at" }, "Validation"), film.slider, film.said);
  const pictures = h("div.film-pictures", film.inputs, film.strip);
  film.node = h("section.film", { hidden: true, ariaLabel: "Filmstrip" }, h("h3", "How it straightens"), control, pictures);
  return { node: film.node, last: () => film.frames.at(-1)?.step ?? 0, add: (answer) => add(film, answer) };
}

function add(film, { pictures, frames }) {
  const fresh = frames.filter(({ step }) => step > (film.frames.at(-1)?.step ?? -1));
  if (!fresh.length) return;
  film.node.hidden = false;
  if (!film.rows.length) film.rows = pictures.map(createRow);
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
  const known = film.rows.filter(({ name }) => name !== null).length;
  const right = film.rows.filter(({ name }, place) => name === items[place].class).length;
  const score = known ? `: ${right} of ${known} right` : "";
  film.said.textContent = `epoch ${Number(epoch.toFixed(1))}, step ${number(step)}${score}`;
  film.slider.setAttribute("aria-valuetext", film.said.textContent);
}

function createRow({ image, class: name }) {
  const polygon = svgElement("polygon", {});
  const corner = svgElement("circle", {});
  const svg = svgElement("svg", { "aria-hidden": "true" }, [polygon, corner]);
  const guess = h("span.film-guess");
  const picture = h("img", { alt: "", src: image });
  picture.onload = () => {
    svg.setAttribute("viewBox", `0 0 ${picture.naturalWidth} ${picture.naturalHeight}`);
    corner.setAttribute("r", picture.naturalWidth / 18);
  };
  return { item: h("li", h("span.film-input", picture, svg), guess), polygon, corner, guess, name };
}

function showItem({ polygon, corner, guess, name }, { outline, class: guessed, probability }) {
  polygon.setAttribute("points", (outline ?? []).join(" "));
  const [x, y] = outline?.[0] ?? [-99, -99];
  corner.setAttribute("cx", x);
  corner.setAttribute("cy", y);
  const wrong = name !== null && guessed !== name;
  const told = [h(wrong ? "b.wrong" : "b", guessed), wrong ? ` is ${name}` : ""];
  guess.replaceChildren(...told, h("span.legend", percent(probability)));
}
