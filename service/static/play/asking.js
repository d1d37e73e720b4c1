/** What is asked of a state: the guess, and what stands beside it once that is there. */

import { predict } from "../api.js";
import { createLive } from "./live.js";
import { served } from "./models.js";
import { payloadOf } from "./payload.js";
import { isEmpty } from "./state.js";

const INCLUDED = "theta,outline,transformed,input";

/**
 * `show(answer)` gets `{state, model, prediction, timing, payload, query}` of the newest state; `fail(error, state)` why
 * there is none; `beside(entries)` the predictions that are compared, `{title, prediction, info, problem}` each;
 * `nothing(model)` is told when there is nothing to ask.
 */
export function createAsking({ show, fail, beside, nothing }) {
  let results = new Map();
  const main = createLive({ ask, show: showMain, fail: (error, { state }) => fail(error, state) });
  const others = {
    own: createOther("The network’s own"),
    off: createOther("Switched off (identity)"),
    second: createOther(({ model }) => titleOf(model)),
  };

  function createOther(title) {
    const tell = (wish, prediction, problem) => {
      const named = typeof title === "string" ? title : title(wish);
      results.set(wish.key, { title: named, prediction, info: wish.model.info, problem });
      beside([...results.values()]);
    };
    return createLive({
      ask,
      show: ({ prediction }, wish) => tell(wish, prediction),
      fail: (error, wish) => tell(wish, null, error.message),
    });
  }

  function showMain(answer, wish) {
    show(answer);
    const asked = othersOf(wish);
    for (const [key, other] of Object.entries(others)) {
      if (key in asked) other.want({ ...wish, key, details: [], ...asked[key], subject: `${wish.subject}|${key}` });
      else other.stop();
    }
    const own = wish.state.second ? titleOf(wish.model) : "The network’s own";
    const title = wish.theta === null ? own : "Theta by hand";
    const first = { title, prediction: answer.prediction, info: wish.model.info };
    const known = Object.keys(asked).filter((key) => results.has(key));
    results = new Map([["main", first], ...known.map((key) => [key, results.get(key)])]);
    beside(Object.keys(asked).length ? [...results.values()] : []);
  }

  return {
    want(state, details) {
      const model = served(state.model);
      if (model && !isEmpty(state)) {
        const subject = `${state.source.subject}|${model.name}/${model.version}|${state.theta === null}`;
        main.want({ state, model, theta: model.info.transform ? state.theta : null, details, subject });
        return;
      }
      this.stop();
      nothing(model);
    },
    stop() {
      for (const live of [main, ...Object.values(others)]) live.stop();
      results = new Map();
    },
  };
}

const titleOf = ({ name, version }) => `${name}, version ${version}`;

/** What is asked beside a wish: model and theta of each. */
function othersOf({ state, model, theta }) {
  const asked = {};
  const second = state.second && served(state.second);
  if (theta !== null) asked.own = { model, theta: null };
  if (state.compare && model.info.transform && theta !== "identity") asked.off = { model, theta: "identity" };
  if (second) asked.second = { model: second, theta: null };
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
