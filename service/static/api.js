/** The public JSON API. What goes wrong is thrown as an Error whose message is a sentence for a person. */

import { keyHeader } from "./key.js";

/** The service asks for a key, and was sent none or one that it does not know. */
export class KeyNeeded extends Error {}

/** What `GET /v1/models` says. */
export function listModels() {
  return request("v1/models", {});
}

/**
 * The prediction for one picture (bytes or a file) of this media type: `{prediction, timing}`, the latter in milliseconds by
 * stage. `query` is that of `/v1/predict`; `signal` ends the waiting.
 */
export async function predict({ body, type }, query, signal) {
  const bytes = body instanceof Blob ? await readBytes(body) : body;
  const began = performance.now();
  const response = await send(predictUrl(query), { method: "POST", headers: { "Content-Type": type }, body: bytes, signal });
  const answer = await read(response);
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

async function request(url, options) {
  return read(await send(url, options));
}

/** The answer, whatever its status; a service that is gone is worth another try after `retryAfter` seconds. */
async function send(url, options) {
  try {
    return await fetch(url, { ...options, headers: { ...options.headers, ...keyHeader() } });
  } catch (error) {
    if (options.signal?.aborted) throw error;
    const gone = new Error("The service does not answer. Check that it still runs, then try again.");
    throw Object.assign(gone, { retryAfter: 1 });
  }
}

async function read(response) {
  const document = await response.json().catch(() => null);
  if (response.status === 401) throw new KeyNeeded(describeProblem(response, document));
  if (!response.ok) {
    const problem = new Error(describeProblem(response, document));
    throw Object.assign(problem, { retryAfter: Number(response.headers.get("Retry-After")) || null });
  }
  if (document === null) throw new Error("The answer of the service cannot be read.");
  return document;
}

function describeProblem(response, problem) {
  const detail = problem?.detail ?? `the service answered with status ${response.status}`;
  const request = response.status >= 500 && problem?.request_id ? ` Request id: ${problem.request_id}` : "";
  return `${detail[0].toUpperCase()}${detail.slice(1)}.${request}`;
}
