/** A request as a line for a shell. */

import { predictUrl } from "../api.js";
import { keyHeader } from "../key.js";
import { toBase64 } from "./base64.js";

export function curlLine({ body, type, name }, query) {
  const url = new URL(predictUrl(query), document.baseURI);
  const key = keyHeader().Authorization ? ` -H "Authorization: Bearer $KEY"` : "";
  const before = name === undefined ? `echo ${toBase64(body)} | base64 -d | ` : "";
  const data = name === undefined ? "@-" : `@${quote(name)}`;
  return `${before}curl --data-binary ${data} -H 'Content-Type: ${type}'${key} ${quote(url.href)}`;
}

function quote(text) {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
