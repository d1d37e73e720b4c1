/** The key of a service that asks for one; kept until the tab is closed. */

import { element } from "./dom.js";

/** The header that carries the key; none without one. */
export function keyHeader() {
  const key = sessionStorage.getItem("key");
  return key ? { Authorization: `Bearer ${key}` } : {};
}

/** A field for the key; `then` is called once there is one. */
export function keyForm(reason, then) {
  const field = element("input", { id: "key", type: "password", autocomplete: "off", required: true, pattern: "[!-~]+" });
  const label = element("label", { htmlFor: "key" }, "Key");
  const button = element("button", { className: "button", type: "submit" }, "Use it");
  const form = element("form", { className: "key" }, element("p", {}, reason), label, field, button);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    sessionStorage.setItem("key", field.value);
    then();
  });
  return form;
}
