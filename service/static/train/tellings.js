/** What goes wrong with a request, or does not come, where it is told. */

import { Failure, send } from "../api.js";
import { byId } from "../dom.js";
import { keyForm, keyHeader } from "../key.js";
import { NotLoaded } from "../lazy.js";

/** Say in this place what went wrong; where a key with this scope is asked for, a field for it, and then `again`. */
export function tell(place, error, again, scope = "jobs") {
  if (error.name === "AbortError") return;
  if (!(error instanceof Failure || error instanceof NotLoaded)) throw error;
  place.hidden = false;
  if (error.status !== 401) place.textContent = error.message;
  else if (!place.querySelector("form")) {
    const wrong = keyHeader().Authorization ? "This key is not known. " : "";
    const asked = `This service asks for a key with the scope ${scope}. Whoever runs it makes one with stn keys create.`;
    place.replaceChildren(keyForm(wrong + asked, () => (hush(place), again?.())));
    place.querySelector("input").focus();
  }
}

export function hush(place = byId("notice")) {
  place.replaceChildren();
  place.hidden = true;
}

/** The address of a file for an element that sends no key: the file itself, where there is a key. */
export async function addressOf(url, signal) {
  if (!keyHeader().Authorization) return url;
  return URL.createObjectURL(await (await send(url, { signal })).blob());
}
