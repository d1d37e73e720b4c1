/** What is measured at each validation, as charts and as a table. */

import { h, svgElement } from "../dom.js";
import { scrolls, table } from "./html.js";
import { number, percent, upper } from "./words.js";

const LINES = { train: "training", val: "validation" };
const HEIGHT = 180;
const [LEFT, RIGHT, TOP, BOTTOM] = [44, 10, 8, 22];
/** By task, what is drawn. */
const KINDS = { classify: ["loss", "accuracy"], align: ["loss", "distance", "within_1px", "outline"] };
const NAMES = { within_1px: "within 1 px", outline: "outlines, intersection over union" };
/** Whose values lie between 0 and 1. */
const SHARES = ["accuracy", "within_1px", "outline"];
const named = (kind) => NAMES[kind] ?? kind;
const said = (kind, value) =>
  SHARES.includes(kind) ? percent(value) : `${value.toPrecision(3)}${kind === "distance" ? " px" : ""}`;

/** `{node, show(metrics, task)}`; metrics are lines of `metrics.jsonl` in the order of their steps. */
export function createCurves() {
  let kinds = [];
  let charts = [];
  const inside = scrolls("Metrics of each validation");
  const details = h("details", h("summary", "As a table"), inside);
  const node = h("div.curves", details);
  let metrics = [];
  const draw = () => {
    for (const chart of charts) chart.draw(metrics);
    if (details.open) inside.replaceChildren(tableOf(kinds, metrics));
  };
  details.ontoggle = draw;
  new ResizeObserver(() => requestAnimationFrame(draw)).observe(node);
  return {
    node,
    show(lines, task) {
      metrics = lines;
      if (kinds !== KINDS[task]) {
        kinds = KINDS[task] ?? [];
        charts = kinds.map(createChart);
        node.replaceChildren(...charts.map((chart) => chart.node), details);
      }
      draw();
    },
  };
}

function createChart(kind) {
  const svg = svgElement("svg", { role: "img", height: HEIGHT });
  const reading = h("p.legend");
  const keys = h("span.keys", Object.entries(LINES).map(([name, label]) => h("span", { className: name }, label)));
  const node = h("figure.chart", h("figcaption", h("b", upper(named(kind))), keys), svg, reading);
  const draw = (metrics) => {
    Object.keys(LINES).forEach((name, place) => (keys.children[place].hidden = !pointsOf(metrics, `${name}/${kind}`).length));
    drawChart(svg, reading, kind, metrics);
  };
  return { node, draw };
}

function drawChart(svg, reading, kind, metrics) {
  const width = svg.clientWidth || 1;
  svg.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
  const last = metrics.at(-1);
  reading.textContent = last ? describe(kind, last) : "Comes with the first validation.";
  svg.setAttribute("aria-label", `${named(kind)}, ${metrics.length} validations. ${reading.textContent}`);
  if (!last) return svg.replaceChildren();
  const lines = Object.keys(LINES).map((name) => [name, pointsOf(metrics, `${name}/${kind}`)]);
  const most = Math.max(...lines.flatMap(([, points]) => points.map(([, value]) => value)));
  const ticks = SHARES.includes(kind) ? [0, 0.25, 0.5, 0.75, 1] : ticksTo(most);
  const x = (step) => LEFT + (step / last.step) * (width - LEFT - RIGHT);
  const y = (value) => HEIGHT - BOTTOM - (value / ticks.at(-1)) * (HEIGHT - TOP - BOTTOM);
  const text = (x, y, anchor, content) => svgElement("text", { x, y, "text-anchor": anchor }, [content]);
  svg.replaceChildren(
    ...ticks.map((tick) => svgElement("line", { class: "grid", x1: LEFT, x2: width - RIGHT, y1: y(tick), y2: y(tick) })),
    ...ticks.map((tick) => text(LEFT - 6, y(tick) + 4, "end", SHARES.includes(kind) ? `${100 * tick} %` : String(tick))),
    text(LEFT, HEIGHT - 5, "start", "step 0"),
    text(width - RIGHT, HEIGHT - 5, "end", number(last.step)),
    ...lines.flatMap(([name, points]) => {
      const at = points.map(([step, value]) => [x(step), y(value)]);
      const ends = at.slice(-1).map(([cx, cy]) => svgElement("circle", { class: name, cx, cy, r: 3 }));
      return [svgElement("polyline", { class: name, points: at.join(" ") }), ...ends];
    }),
  );
}

const pointsOf = (metrics, name) =>
  metrics.filter((line) => Number.isFinite(line[name])).map((line) => [line.step, line[name]]);

function describe(kind, line) {
  const values = Object.entries(LINES).map(([name, label]) => [label, line[`${name}/${kind}`]]);
  const known = values.filter(([, value]) => Number.isFinite(value));
  const parts = known.map(([label, value]) => `${label} ${said(kind, value)}`);
  return `Step ${number(line.step)}: ${parts.join(", ")}`;
}

/** 0 and round numbers up to at least this one. */
function ticksTo(most) {
  const rough = Math.max(most, 1e-9) / 4;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].find((factor) => factor * power >= rough) * power;
  return Array.from({ length: Math.ceil(most / step - 1e-9) + 1 }, (_, index) => Number((index * step).toPrecision(3)));
}

function tableOf(kinds, metrics) {
  const columns = kinds
    .flatMap((kind) => Object.entries(LINES).map(([name, label]) => [kind, `${name}/${kind}`, `${label} ${named(kind)}`]))
    .filter(([, name]) => metrics.some((line) => name in line));
  const cell = (line) => ([kind, name]) => (Number.isFinite(line[name]) ? said(kind, line[name]) : "");
  const row = (line) => [Number(line.epoch?.toFixed(2)), number(line.step), ...columns.map(cell(line))];
  return table(["epoch", "step", ...columns.map(([, , label]) => label)], metrics.toReversed().map(row));
}
