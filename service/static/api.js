/** The public JSON API. What goes wrong is thrown as an Error whose message is a sentence for a person. */

import { keyHeader } from "./key.js";

/** The service asks for a key, and was sent none or one that it does not know. */
export class KeyNeeded extends Error {}

/** What `GET /v1/models` says. */
export function listModels() {
  return request("v1/models", {});
}

/** The prediction for this file, from `{name, version}` of a model; `signal` ends the waiting. */
export async function predict(file, served, signal) {
  const body = await readBytes(file);
  const headers = { "Content-Type": mediaType(file) };
  const answer = await request(predictUrl(served), { method: "POST", headers, body, signal });
  return answer.predictions[0];
}

/** The same request as `predict`, as a line for a shell. */
export function curlLine(file, served) {
  const url = new URL(predictUrl(served), document.baseURI);
  const key = keyHeader().Authorization ? ` -H "Authorization: Bearer $KEY"` : "";
  return `curl --data-binary @${quote(file.name)} -H 'Content-Type: ${mediaType(file)}'${key} ${quote(url.href)}`;
}

function predictUrl({ name, version }) {
  return `v1/predict?${new URLSearchParams({ model: name, version })}`;
}

function mediaType(file) {
  return file.type.startsWith("image/") ? file.type : "application/octet-stream";
}

function quote(text) {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

async function readBytes(file) {
  try {
    return await file.arrayBuffer();
  } catch {
    throw new Error("This file cannot be read. Is it a folder, or was it moved?");
  }
}

async function request(url, options) {
  let response;
  try {
    response = await fetch(url, { ...options, headers: { ...options.headers, ...keyHeader() } });
  } catch (error) {
    if (options.signal?.aborted) throw error;
    throw new Error("The service does not answer. Check that it still runs, then try again.");
  }
  const document = await response.json().catch(() => null);
  if (response.status === 401) throw new KeyNeeded(describeProblem(response, document));
  if (!response.ok) throw new Error(describeProblem(response, document));
  if (document === null) throw new Error("The answer of the service cannot be read.");
  return document;
}

function describeProblem(response, problem) {
  const detail = problem?.detail ?? `the service answered with status ${response.status}`;
  const request = response.status >= 500 && problem?.request_id ? ` Request id: ${problem.request_id}` : "";
  return `${detail[0].toUpperCase()}${detail.slice(1)}.${request}`;
}
