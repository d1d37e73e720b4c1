/** Another try later: each time after twice as long, and only while the page is seen. */

const LONGEST = 30; // seconds

/** `later(act, seconds)` tries again after at least so long; `cancel()` does not; after `worked()` there is none, and waits are short again. */
export function createAgain() {
  let timer = 0;
  let times = 0;
  let due = null;
  document.addEventListener("visibilitychange", look);

  function look() {
    if (document.hidden || !due) return;
    const act = due;
    due = null;
    act();
  }

  function cancel() {
    clearTimeout(timer);
    due = null;
  }

  return {
    cancel,
    later(act, seconds) {
      cancel();
      const wait = Math.max(seconds, Math.min(seconds * 2 ** times++, LONGEST));
      timer = setTimeout(() => {
        due = act;
        look();
      }, 1000 * wait);
    },
    worked() {
      cancel();
      times = 0;
    },
  };
}
