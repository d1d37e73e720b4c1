/** A request as a line for a shell. */

import { keyHeader } from "./key.js";

/** `data` are the options that say what is sent, `before` what is piped into it. The key itself is not written down. */
export function curlLine(url, type, data, before = "") {
  const { href } = new URL(url, document.baseURI);
  const key = keyHeader().Authorization ? ` -H "Authorization: Bearer $KEY"` : "";
  return `${before}curl ${quoted(href)} -H 'Content-Type: ${type}'${key} ${data}`;
}

export const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;
