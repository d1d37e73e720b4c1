/** Short ways to reach and make elements. */

export const byId = (id) => document.getElementById(id);

/** `h("p.legend", {id: "x"}, "text")`; properties may be left out, lists are spread, null and false are no children. */
export function h(tag, ...children) {
  const [name, ...classes] = tag.split(".");
  const properties = children[0]?.constructor === Object ? children.shift() : {};
  const made = Object.assign(document.createElement(name), { className: classes.join(" ") });
  made.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  for (const [key, value] of Object.entries(properties)) {
    if (key.includes("-")) made.setAttribute(key, value);
    else made[key] = value;
  }
  return made;
}

/** A button; without another class it is a small one. */
export const button = (text, onclick, properties = {}) =>
  h("button", { type: "button", className: "small", onclick, ...properties }, text);

/** An SVG element with these attributes and children. */
export function svgElement(tag, attributes, children = []) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

export const COPY = "Copy as curl";

/** Write the text of this element to the clipboard, and say so on the button `COPY`. */
export async function copyText(place, told) {
  try {
    await navigator.clipboard.writeText(place.textContent);
    told.textContent = "Copied";
    setTimeout(() => (told.textContent = COPY), 1500);
  } catch {
    getSelection().selectAllChildren(place); // without https a page may only select the text
  }
}
