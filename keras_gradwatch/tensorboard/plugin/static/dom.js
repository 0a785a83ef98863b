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
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

/** A button that does something here. */
export function button(text, onclick, attributes = {}) {
  return element("button", { type: "button", class: "action", onclick, ...attributes }, text);
}

/** The word of a state or a verdict, with its sign and its colour. */
export function badge(word, sign, tone) {
  return element("span", { class: `badge ${tone}` }, element("span", { class: "sign", "aria-hidden": "true" }, sign), word);
}

// They reorder the text around them, or are not seen at all.
const HIDDEN = /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;
export const TOOLTIP = 1000;

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

// Characters of a long name that stay to be read at its end.
const TAIL = 20;

/** A name that is cut in its middle where there is no room: names begin alike. */
export function cutName(text, full = text) {
  const shown = visible(text);
  const [head, tail] = shown.length > 1.5 * TAIL ? [shown.slice(0, -TAIL), shown.slice(-TAIL)] : [shown, ""];
  return element(
    "bdi",
    { class: "cut", title: visible(full).slice(0, TOOLTIP) },
    element("span", { class: "cut-head" }, head),
    tail ? element("span", { class: "cut-tail" }, tail) : null,
  );
}

/** A sentence that may hold names; what stands between backticks is code. */
export function sentence(text) {
  const parts = visible(text).split(/`([^`]*)`/);
  return element("bdi", {}, ...parts.map((part, k) => (k % 2 ? element("code", {}, part) : part)));
}
