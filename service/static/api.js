/** The public JSON API. What goes wrong is thrown as a Failure, whose message is a sentence for a person. */

import { keyHeader } from "./key.js";

/**
 * `status` is 0 where the service did not answer; `detail` is what it said, as it said it; after `retryAfter` seconds,
 * where that is not null, it is worth another try.
 */
export class Failure extends Error {
  constructor(status, detail = "the service does not answer: check that it still runs", retryAfter = status ? null : 1) {
    super(`${detail[0].toUpperCase()}${detail.slice(1)}${/[.!?]$/.test(detail) ? "" : "."}`);
    Object.assign(this, { status, detail, retryAfter });
  }
}

export function failureOf(status, problem, retryAfter = null) {
  const request = status >= 500 && problem?.request_id ? `. Request id: ${problem.request_id}` : "";
  return new Failure(status, (problem?.detail || `the service answered with status ${status}`) + request, retryAfter);
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
  if (response.ok) return response;
  const problem = await response.json().catch(() => null);
  throw failureOf(response.status, problem, Number(response.headers.get("Retry-After")) || null);
}

/** The JSON of the answer; null where it has none. */
export async function ask(url, options = {}) {
  return read(await send(url, options), options);
}

async function read(response, { signal }) {
  try {
    return response.status === 204 ? null : await response.json();
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Failure(0, "the answer of the service broke off: try again");
  }
}

/**
 * The prediction for one picture (bytes or a file) of this media type: `{prediction, timing}`, the latter in milliseconds by
 * stage. `query` is that of `/v1/predict`; `signal` ends the waiting.
 */
export async function predict({ body, type }, query, signal) {
  const bytes = body instanceof Blob ? await readBytes(body) : body;
  const began = performance.now();
  const options = { method: "POST", headers: { "Content-Type": type }, body: bytes, signal };
  const response = await send(predictUrl(query), options);
  const answer = await read(response, options);
  const timing = { ...stages(response.headers.get("Server-Timing")), "round trip": performance.now() - began };
  return { prediction: answer.predictions[0], timing };
}

/** The address of such a request, relative to the page's. */
export function predictUrl(query) {
  const text = Object.entries(query).filter(([, value]) => value !== null && value !== undefined);
  return `v1/predict?${new URLSearchParams(text).toString().replaceAll("%2C", ",")}`;
}

/** The milliseconds in a Server-Timing header, by name. */
function stages(header) {
  const entries = (header ?? "").matchAll(/([\w-]+);dur=([\d.]+)/g);
  return Object.fromEntries(Array.from(entries, ([, name, milliseconds]) => [name, Number(milliseconds)]));
}

async function readBytes(file) {
  try {
    return await file.arrayBuffer();
  } catch {
    throw new Error("This file cannot be read. Is it a folder, or was it moved?");
  }
}
