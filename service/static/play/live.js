/** One request under way and the newest wish next. */

import { createAgain } from "../again.js";

/**
 * No delay: while the service answers quickly every movement is answered, and while it does not, what lies between is left
 * out. `ask(wish, signal)` gives the answer; `show(answer, wish)` and `fail(error, wish)` are told of it, unless a wish with
 * another `subject` has come meanwhile: then it is stale, and what is under way is aborted.
 */
export function createLive({ ask, show, fail }) {
  const again = createAgain();
  let wanted = null;
  let underWay = null;

  async function next() {
    while (wanted) {
      const wish = wanted;
      wanted = null;
      const mine = { wish, control: new AbortController() };
      underWay = mine;
      try {
        const answer = await ask(wish, mine.control.signal);
        if (underWay !== mine) return; // another loop has taken over
        again.worked();
        show(answer, wish);
      } catch (error) {
        if (underWay === mine) failed(error, wish);
      }
      if (underWay !== mine) return;
    }
    underWay = null;
  }

  /** A service that is gone is asked again, until it is back or something else is wanted. */
  function failed(error, wish) {
    fail(error, wish);
    if (error.retryAfter) again.later(() => wanted ?? begin(wish), error.retryAfter);
  }

  function want(wish) {
    again.worked(); // what somebody wants now is not waited for as what failed before
    begin(wish);
  }

  function begin(wish) {
    wanted = wish;
    if (underWay && underWay.wish.subject === wish.subject) return;
    underWay?.control.abort();
    next();
  }

  function stop() {
    again.cancel();
    wanted = null;
    underWay?.control.abort();
    underWay = null;
  }

  return { want, stop };
}
