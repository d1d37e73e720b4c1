/** Parts that several views have. */

import { button as smallButton, h } from "../dom.js";

export const button = (text, onclick, more = {}) => smallButton(text, onclick, { className: "button plain", ...more });

/** A place for what is said when something goes wrong. */
export const sayings = () => h("div.notice", { role: "status", hidden: true });

/** What may be wider than the page and scrolls by itself, with the keyboard too. */
export const scrolls = (ariaLabel, ...children) => h("div.scrolls", { tabIndex: 0, role: "region", ariaLabel }, ...children);

export function table(names, rows) {
  const head = h("tr", names.map((name) => h("th", { scope: "col" }, name)));
  return h("table", h("thead", head), h("tbody", rows.map((cells) => h("tr", cells.map((cell) => h("td", cell))))));
}

/** Whether the person agrees; Escape and the other button mean no. */
export function confirmed(title, text, verb) {
  return new Promise((resolve) => {
    const back = document.activeElement;
    const keep = button("Keep it", () => dialog.close());
    const yes = h("button.button.risky", { type: "button", onclick: () => dialog.close("yes") }, verb);
    const dialog = h("dialog", { ariaLabel: title }, h("h2", title), h("p", text), h("div.actions", keep, yes));
    dialog.onclose = () => {
      dialog.remove();
      back?.focus();
      resolve(dialog.returnValue === "yes");
    };
    document.body.append(dialog);
    dialog.showModal();
  });
}
