/** Server-Sent Events by `fetch`, which sends the key where EventSource cannot. */

import { Failure, send } from "../api.js";

/** Milliseconds without a byte after which a connection is taken for dead; the server sends a comment every 15 seconds. */
const SILENCE = 45_000;

/**
 * Calls `onEvent({id, event, data})` for each event after `last` (null: those that the address asks for), each once and in
 * order, however often it breaks off, until `end`, which is the last. After 1, 2, 4 ... seconds without any it connects
 * again; `onTrouble(text)` says why nothing comes, or "" where it does.
 */
export async function followEvents(url, last, onEvent, onTrouble, signal) {
  let wait = 1000;
  while (!signal.aborted) {
    let text = "The connection was closed.";
    try {
      const headers = { Accept: "text/event-stream", ...(last !== null && { "Last-Event-ID": String(last) }) };
      const response = await send(url, { headers, signal, cache: "no-store" });
      onTrouble("");
      const parse = eventParser();
      for await (const chunk of chunks(response.body)) {
        for (const event of parse(chunk)) {
          wait = 1000;
          if (event.event === "end") return;
          if (event.id <= last) continue;
          last = event.id;
          onEvent(event);
        }
      }
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
      const [, name, value] = /^([^:]*):? ?(.*)$/s.exec(line);
      if (line && name) fields[name] = name === "data" && "data" in fields ? `${fields.data}\n${value}` : value;
      if (line) continue;
      if ("data" in fields) events.push({ id: Number(fields.id), event: fields.event, data: JSON.parse(fields.data) });
      fields = {};
    }
    return events;
  };
}

async function* chunks(body) {
  const reader = body.getReader();
  let timer;
  try {
    for (;;) {
      timer = setTimeout(() => reader.cancel(), SILENCE);
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
