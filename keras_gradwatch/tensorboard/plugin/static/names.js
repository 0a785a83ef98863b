// Names of runs, cut where there is no room: only where others like them are the same.

import { TOOLTIP, cutName, element, visible } from "./dom.js";

// Others that a name is compared with: enough for any sweep, few enough to be quick.
const COMPARED = 200;
// Characters of what is not worth cutting.
const SHORT = 3;

/** Of each name its pieces, each `[text, differs]`: the parts that tell it from others. */
export function parted(names) {
  const split = names.map((name) => name.match(/[\p{L}\p{N}.+-]+|[^\p{L}\p{N}.+-]+/gu) ?? [name]);
  const others = split.slice(0, COMPARED);
  return split.map((tokens) => {
    const differs = tokens.map(() => false);
    for (const other of others) {
      const found = difference(tokens, other);
      // Of what is half another, all is its own.
      if (2 * found.length <= tokens.length) for (const k of found) differs[k] = true;
    }
    return joined(tokens, differs);
  });
}

/** Where the tokens of a name are others than those of another one. */
function difference(tokens, other) {
  const all = tokens.map((_, k) => k);
  if (tokens.length === other.length) return all.filter((k) => tokens[k] !== other[k]);
  const shorter = Math.min(tokens.length, other.length);
  let [start, end] = [0, 0];
  while (start < shorter && tokens[start] === other[start]) start += 1;
  while (end < shorter - start && tokens.at(-1 - end) === other.at(-1 - end)) end += 1;
  return all.slice(start, tokens.length - end);
}

function joined(tokens, differs) {
  const pieces = [];
  tokens.forEach((token, k) => {
    if (k && differs[k] === differs[k - 1]) pieces.at(-1)[0] += token;
    else pieces.push([token, differs[k]]);
  });
  return pieces;
}

/** A name out of its pieces: what differs stays, what does not is cut first. */
export function partedName(pieces, full) {
  if (!pieces.some(([, differs]) => differs)) return cutName(pieces.map(([text]) => text).join(""), full);
  return element("bdi", { class: "cut parted", title: visible(full).slice(0, TOOLTIP) }, ...spans(pieces));
}

/** The name of a layer, out of its pieces, and that of its one variable. */
export function nameBelow(pieces, text, full) {
  const title = visible(full).slice(0, TOOLTIP);
  return element("bdi", { class: "cut parted below", title }, ...spans(pieces), element("span", { class: "variable-name" }, visible(text)));
}

function spans(pieces) {
  // Dots would take as much room as what is very short.
  const stays = ([text, differs]) => differs || text.length < SHORT;
  return pieces.map((piece, k) => {
    const text = element("bdi", {}, visible(piece[0]));
    if (stays(piece)) return element("span", { class: "own" }, text);
    // What stands right before says what it is: `width=` of `width=8`.
    return element("span", { class: k < pieces.length - 1 ? "shared before" : "shared" }, text);
  });
}
