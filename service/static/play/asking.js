/** What is asked of a state: the guess, and what stands beside it once that is there. */

import { predict } from "../api.js";
import { createLive } from "./live.js";
import { served } from "./models.js";
import { payloadOf } from "./payload.js";
import { isEmpty } from "./state.js";

/** Milliseconds for which the guess of before is left standing where another model does not answer. */
const PATIENCE = 1000;
const INCLUDED = "theta,outline,transformed,input";

/**
 * `show(answer)` gets `{state, model, prediction, timing, payload, query}` of the newest state; `fail(error, state)` why
 * there is none; `beside(entries)` the predictions that are compared, `{title, prediction, info, problem}` each;
 * `nothing(model)` is told when there is nothing to ask.
 */
export function createAsking({ show, fail, beside, nothing }) {
  let results = new Map();
  let asked = null; // the model of the last wish
  let waiting = 0;
  const main = createLive({ ask, show: showMain, fail: failMain });
  const others = { own: createOther(), off: createOther(), second: createOther() };

  function createOther() {
    const tell = ({ key, title, model }, prediction, problem) => {
      results.set(key, { title, prediction, info: model.info, problem });
      beside([...results.values()]);
    };
    return createLive({
      ask,
      show: ({ prediction }, wish) => tell(wish, prediction),
      fail: (error, wish) => tell(wish, null, error.message),
    });
  }

  function failMain(error, { state }) {
    clearTimeout(waiting);
    fail(error, state);
  }

  /** A model that is asked first may have to be prepared: whoever waits for it is told so. */
  function expect(model, state) {
    if (model === asked) return;
    asked = model;
    clearTimeout(waiting);
    const message = `Waiting for ${titleOf(model)}. A new model takes a while.`;
    waiting = setTimeout(() => fail({ message }, state), PATIENCE);
  }

  function showMain(answer, wish) {
    clearTimeout(waiting);
    show(answer);
    const compared = othersOf(wish);
    for (const [key, other] of Object.entries(others)) {
      if (key in compared) other.want({ ...wish, key, details: [], ...compared[key], subject: `${wish.subject}|${key}` });
      else other.stop();
    }
    const own = wish.state.second ? titleOf(wish.model) : OWN;
    const first = { title: wish.theta === null ? own : "Theta by hand", prediction: answer.prediction, info: wish.model.info };
    const places = Object.entries(compared).map(([key, { title, model }]) => [key, placeOf(key, title, model.info)]);
    results = new Map([["main", first], ...places]); // each in its place, whichever is answered first
    beside(Object.keys(compared).length ? [...results.values()] : []);
  }

  /** What stands there of this model, or an empty place. */
  function placeOf(key, title, info) {
    const known = results.get(key);
    return known?.info === info ? { ...known, title } : { title, prediction: null, info };
  }

  return {
    want(state, details) {
      const model = served(state.model);
      if (model && !isEmpty(state)) {
        const subject = `${state.source.subject}|${model.name}/${model.version}|${state.theta === null}`;
        expect(model, state);
        main.want({ state, model, theta: model.info.transform ? state.theta : null, details, subject });
        return;
      }
      this.stop();
      nothing(model);
    },
    stop() {
      for (const live of [main, ...Object.values(others)]) live.stop();
      results = new Map();
      clearTimeout(waiting);
      asked = null;
    },
  };
}

const OWN = "The network’s own";

const titleOf = ({ name, version }) => `${name}, version ${version}`;

/** What is asked beside a wish: model, theta and title of each; of its own theta all layers, of which a given one lacks some. */
function othersOf({ state, model, theta, details }) {
  const asked = {};
  const second = state.second && served(state.second);
  if (theta !== null) asked.own = { model, theta: null, title: OWN, details: details.filter((name) => name === "activations") };
  if (state.compare && model.info.transform && theta !== "identity") {
    asked.off = { model, theta: "identity", title: "Switched off (identity)" };
  }
  if (second) asked.second = { model: second, theta: null, title: titleOf(second) };
  return asked;
}

async function ask({ state, model, theta, details }, signal) {
  const payload = payloadOf(state, model.info);
  const query = queryOf(model, theta, [INCLUDED, ...details]);
  const answer = await predict(payload, query, signal);
  return { ...answer, state, model, payload, query };
}

/** Layers that an answer has without being asked for them. */
const ALWAYS = new Set(["input", "transformed", "output"]);

/** Whether a list of shown layers takes `include=activations`; `*` stands for all layers. */
export function needsActivations(shown) {
  return shown.some((name) => !ALWAYS.has(name));
}

function queryOf({ name, version }, theta, included) {
  return {
    model: name,
    version,
    theta: Array.isArray(theta) ? theta.map((value) => Number(value.toPrecision(6))).join() : theta,
    include: included.join(),
  };
}
