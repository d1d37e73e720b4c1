/** Requests of Data sets and Jobs. What goes wrong is thrown as a Failure, whose message is a sentence for a person. */

import { byId } from "../dom.js";
import { keyForm, keyHeader } from "../key.js";

/** `status` is 0 where the service did not answer; `detail` is what it said, as it said it. */
export class Failure extends Error {
  constructor(status, detail = "the service does not answer: check that it still runs") {
    super(`${detail[0].toUpperCase()}${detail.slice(1)}${/[.!?]$/.test(detail) ? "" : "."}`);
    Object.assign(this, { status, detail });
  }
}

/** The answer, once its head is there; `options` as of `fetch`. */
export async function send(url, options = {}) {
  let response;
  try {
    response = await fetch(url, { ...options, headers: { ...options.headers, ...keyHeader() } });
  } catch (error) {
    if (options.signal?.aborted) throw error;
    throw new Failure(0);
  }
  if (!response.ok) throw failureOf(response.status, await response.json().catch(() => null));
  return response;
}

/** The JSON of the answer; null where it has none. */
export async function ask(url, options = {}) {
  const response = await send(url, options);
  try {
    return response.status === 204 ? null : await response.json();
  } catch (error) {
    if (options.signal?.aborted) throw error;
    throw new Failure(0, "the answer of the service broke off: try again");
  }
}

export function failureOf(status, problem) {
  const request = status >= 500 && problem?.request_id ? `. Request id: ${problem.request_id}` : "";
  return new Failure(status, (problem?.detail || `the service answered with status ${status}`) + request);
}

/** Say in this place what went wrong; where a key is asked for, a field for it, and then `again`. */
export function tell(place, error, again) {
  if (error.name === "AbortError") return;
  if (!(error instanceof Failure)) throw error;
  place.hidden = false;
  if (error.status !== 401) place.textContent = error.message;
  else if (!place.querySelector("form")) {
    const wrong = keyHeader().Authorization ? "This key is not known. " : "";
    const reason = `${wrong}This service asks for a key with the scope jobs. Whoever runs it makes one with stn keys create.`;
    place.replaceChildren(keyForm(reason, () => (hush(place), again?.())));
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

/** For a shell: the part of a command that sends the key. */
export function curlKey() {
  return keyHeader().Authorization ? ` -H "Authorization: Bearer $KEY"` : "";
}
