/** Elements with classes, attributes and children in one line, and the parts that several views have. */

import { element } from "../dom.js";

/** `h("p.legend", {id: "x"}, "text")`; properties may be left out, lists are spread, null and false are no children. */
export function h(tag, ...children) {
  const [name, ...classes] = tag.split(".");
  const properties = children[0]?.constructor === Object ? children.shift() : {};
  const isChild = (child) => child !== null && child !== undefined && child !== false;
  const made = element(name, { className: classes.join(" ") }, ...children.flat().filter(isChild));
  for (const [key, value] of Object.entries(properties)) {
    if (key.includes("-")) made.setAttribute(key, value);
    else made[key] = value;
  }
  return made;
}

export const button = (text, onclick, more = {}) => h("button.button.plain", { type: "button", onclick, ...more }, text);

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
