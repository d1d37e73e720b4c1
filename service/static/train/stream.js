/** Server-Sent Events and followed texts by `fetch`, which sends the key where EventSource cannot. */

import { Failure, send } from "../api.js";


/** Milliseconds without a byte after which a connection is taken for dead; the server sends a comment every 15 seconds. */
const SILENCE = 45_000;
/** Lines of a log that are shown of what was written before. */
const TAIL = 500;

/**
 * Calls `onEvent({id, event, data})` for each event after `last`, each once and in order, however often it breaks off, until
 * `end`, which is the last. `onTrouble(text)` says why nothing comes, or "" where it does.
 */
export function followEvents(url, last, onEvent, onTrouble, signal) {
  return keepTrying(async (progressed) => {
    const headers = { Accept: "text/event-stream", "Last-Event-ID": String(last) };
    const response = await send(url, { headers, signal, cache: "no-store" });
    onTrouble("");
    const parse = eventParser();
    for await (const chunk of chunks(response.body, SILENCE)) {
      for (const event of parse(chunk)) {
        progressed();
        if (event.event === "end") return true;
        if (event.id <= last) continue;
        last = event.id;
        onEvent(event);
      }
    }
    return false;
  }, onTrouble, signal);
}

/**
 * Calls `onText(text)` with the last lines and what comes after them, until `hasEnded()` where the text is complete.
 * `place` is `{bytes: null, decoder}` at first and holds how far it was read, for the next call.
 */
export function followText(url, place, onText, hasEnded, signal) {
  return keepTrying(async (progressed) => {
    const from = place.bytes === null ? `tail=${TAIL}` : `after=${place.bytes}`;
    const response = await send(`${url}?follow=true&${from}`, { signal, cache: "no-store" });
    place.bytes ??= Number(response.headers.get("X-Stn-Offset"));
    for await (const chunk of chunks(response.body)) {
      progressed();
      place.bytes += chunk.length;
      onText(place.decoder.decode(chunk, { stream: true }));
    }
    return hasEnded();
  }, () => {}, signal);
}

/** Events out of bytes that come in pieces. */
export function eventParser() {
  const decoder = new TextDecoder();
  let rest = "";
  let fields = {};
  return (chunk) => {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split(/\r?\n/);
    rest = lines.pop();
    const events = [];
    for (const line of lines) {
      const [, name, value] = /^([^:]*):? ?(.*)$/.exec(line);
      if (line && name) fields[name] = name === "data" && "data" in fields ? `${fields.data}\n${value}` : value;
      if (line) continue;
      if ("data" in fields) events.push({ id: Number(fields.id), event: fields.event, data: JSON.parse(fields.data) });
      fields = {};
    }
    return events;
  };
}

/** Runs `attempt` until it gives true; where nothing has come it waits for 1, 2, 4 ... seconds in between. */
async function keepTrying(attempt, onTrouble, signal) {
  let wait = 1000;
  while (!signal.aborted) {
    let text = "The connection was closed.";
    try {
      if (await attempt(() => (wait = 1000))) return;
    } catch (error) {
      if (signal.aborted) return;
      if ([401, 403, 404, 422].includes(error.status)) throw error;
      if (error instanceof Failure) text = error.message;
    }
    onTrouble(`${text} Trying again.`);
    const ended = new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
    await Promise.race([ended, new Promise((resolve) => setTimeout(resolve, wait))]);
    wait = Math.min(2 * wait, 15_000);
  }
}

async function* chunks(body, silence) {
  const reader = body.getReader();
  let timer;
  try {
    for (;;) {
      if (silence) timer = setTimeout(() => reader.cancel(), silence);
      const { done, value } = await reader.read();
      clearTimeout(timer);
      if (done) return;
      yield value;
    }
  } finally {
    clearTimeout(timer);
    reader.cancel().catch(() => {}); // it may have broken off
  }
}
