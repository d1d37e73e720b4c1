/** The key of a service that asks for one; kept until the tab is closed. */

import { h } from "./dom.js";

/** The header that carries the key; none without one. */
export function keyHeader() {
  const key = sessionStorage.getItem("key");
  return key ? { Authorization: `Bearer ${key}` } : {};
}

/** A field for the key; `then` is called once there is one. */
export function keyForm(reason, then) {
  const field = h("input", { id: "key", type: "password", autocomplete: "off", required: true, pattern: "[!-~]+" });
  const label = h("label", { htmlFor: "key" }, "Key");
  const button = h("button.button", { type: "submit" }, "Use it");
  const form = h("form.key", h("p", reason), label, field, button);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    sessionStorage.setItem("key", field.value);
    then();
  });
  return form;
}
