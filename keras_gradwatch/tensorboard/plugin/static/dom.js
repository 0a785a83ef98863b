// Elements of the page. Text goes in as text, never as HTML: names are data.

/** Makes an element; `attributes` holds listeners, styles and attributes. */
export function element(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** The same for a part of a drawing. */
export function shape(tag, attributes = {}, ...children) {
  const namespace = "http://www.w3.org/2000/svg";
  return fill(document.createElementNS(namespace, tag), attributes, children);
}

function fill(node, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) {
      node.addEventListener(key.slice(2), value);
    } else if (key === "style") {
      Object.assign(node.style, value);
    } else if (value !== null && value !== undefined && value !== false) {
      node.setAttribute(key, value === true ? "" : String(value));
    }
  }
  node.append(...children.filter((child) => child !== null));
  return node;
}

/** A number with few digits, as a person would write it. */
export function figure(value, digits = 4) {
  if (value === null || value === undefined) return "–";
  if (typeof value === "string") return value;
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1e-3 && size < 1e5) return String(Number(value.toPrecision(digits)));
  return Number(value.toPrecision(digits)).toExponential().replace("e+", "e");
}

/** A share as a percentage that is 0 % or 100 % only where it is exactly that. */
export function percentage(share) {
  if (share === null || share === undefined) return "–";
  if (share > 0 && share < 0.001) return "< 0.1 %";
  if (share < 1 && share > 0.999) return "> 99.9 %";
  return `${Number((100 * share).toFixed(1))} %`;
}

// They reorder the text around them, or are not seen at all.
const HIDDEN = /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;
const TOOLTIP = 1000;

/** Text in which nothing hides: control characters are spelled out. */
export function visible(text) {
  return text.replace(HIDDEN, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

/** A name, whatever it is made of; long ones can be read whole by pointing at them. */
export function name(text, full = text) {
  const shown = visible(text);
  const whole = visible(full);
  const title = whole === shown && whole.length < 40 ? null : whole.slice(0, TOOLTIP);
  return element("bdi", { title }, shown);
}

/** A sentence that may hold names. */
export function sentence(text) {
  return element("bdi", {}, visible(text));
}
