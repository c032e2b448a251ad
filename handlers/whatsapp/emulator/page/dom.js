// Building the page's nodes. Data only ever becomes text: there is no way to pass markup.

import { TEXTS } from "./texts.js";

const SVG = "http://www.w3.org/2000/svg";

/** An element. `props`: class, text, on {event: listener}, anything else is an attribute (false and null are left out). */
export function el(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === false || value === null || value === undefined) continue;
    if (name === "class") node.className = value;
    else if (name === "text") node.textContent = value;
    else if (name === "on") for (const [event, listener] of Object.entries(value)) node.addEventListener(event, listener);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

/** One of the symbols of index.html; decoration unless `label` is given. */
export function icon(name, label = "") {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", `icon icon-${name}`);
  if (label) {
    svg.setAttribute("role", "img");
    svg.setAttribute("aria-label", label);
    const title = document.createElementNS(SVG, "title");
    title.textContent = label;
    svg.append(title);
  } else {
    svg.setAttribute("aria-hidden", "true");
  }
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `#i-${name}`);
  svg.append(use);
  return svg;
}

export const byId = (id) => document.getElementById(id);

/** Fill the static part of the page: data-text is its text, data-label its accessible name and tooltip. */
export function fillTexts(root) {
  for (const node of root.querySelectorAll("[data-text]")) node.textContent = TEXTS[node.dataset.text];
  for (const node of root.querySelectorAll("[data-label]")) {
    node.setAttribute("aria-label", TEXTS[node.dataset.label]);
    if (node.matches("button")) node.title = TEXTS[node.dataset.label];
  }
  for (const node of root.querySelectorAll("[data-placeholder]")) node.placeholder = TEXTS[node.dataset.placeholder];
}

const HUES = 8;

/** A round picture with the initials of a name; its colour follows from the name. */
export function avatar(name, extra = "") {
  const words = name.trim().split(/\s+/);
  const initials = (words[0]?.[0] ?? "?") + (words.length > 1 ? words.at(-1)[0] : "");
  const hue = [...name].reduce((sum, letter) => (sum * 31 + letter.codePointAt(0)) % 997, 7) % HUES;
  return el("span", { class: `avatar hue-${hue} ${extra}`, "aria-hidden": "true", text: initials.toUpperCase() });
}
