// Relative errors on one axis, with their error bars and the tolerance as a band: a row
// of a table has a row of the picture.

import { element, shape } from "./dom.js";
import { errorPercentage } from "./figures.js";
import { logarithmic } from "./scale.js";

const WIDTH = 250;
const ROOM = 6; // left and right of the axis
const HEIGHT = 20;
const LABEL = 50; // room of a label
// An error of less than a ten-billionth tells nobody anything.
const LOWEST = 1e-10;

/**
 * An axis for the errors of these, each with `relative_error` and `spread`, the part of
 * it that errors of the differences may explain.
 */
export function errorAxis(found, tolerance) {
  const known = found.map(({ relative_error }) => relative_error).filter((e) => Number.isFinite(e) && e > 0);
  const least = Math.min(tolerance / 100, ...known);
  const low = 10 ** Math.max(Math.log10(LOWEST), Math.floor(Math.log10(least)));
  const scale = logarithmic(low, 1, ROOM, WIDTH - ROOM);
  return { ...scale, tolerance };
}

/** The head of a table: words before the picture, the axis of that, words after it. */
export function headWithErrors(before, axis, after) {
  const column = (text) => element("th", { scope: "col" }, text);
  const picture = element("th", { scope: "col", class: "picture" }, errorHead(axis));
  return element("thead", {}, element("tr", {}, ...before.map(column), picture, ...after.map(column)));
}

/** The head of the picture: what the axis says. */
function errorHead(axis) {
  const ticks = decadesWithRoom(axis);
  const end = axis.at(axis.tolerance);
  return shape(
    "svg",
    { class: "errors", width: WIDTH, height: 30, viewBox: `0 0 ${WIDTH} 30`, role: "img", "aria-label": `relative error, logarithmic axis; tolerance ${errorPercentage(axis.tolerance)}` },
    shape("text", { class: "band-text", x: end - 4, y: 10, "text-anchor": "end" }, `tolerance ${errorPercentage(axis.tolerance)}`),
    shape("line", { class: "limit", x1: end, x2: end, y1: 0, y2: 30 }),
    ...ticks.map((tick, k) => shape("text", { x: axis.at(tick), y: 26, "text-anchor": k ? "middle" : "end" }, label(tick))),
  );
}

/** Decades from 100 % down whose labels do not run into one another. */
function decadesWithRoom(axis) {
  const kept = [];
  for (let decade = 0; 10 ** decade >= axis.low * 0.99; decade -= 1) {
    const x = axis.at(10 ** decade);
    // The tolerance has a label of its own.
    const isFree = Math.abs(x - axis.at(axis.tolerance)) > LABEL / 3 && x > LABEL / 2;
    if (isFree && (!kept.length || axis.at(kept.at(-1)) - x > LABEL)) kept.push(10 ** decade);
  }
  return kept;
}

/** One row: the error as a dot, its error bar, and the band of the tolerance. */
export function errorRow(axis, { relative_error: error, spread, word, kind }) {
  const [start, end] = [axis.at(axis.low), axis.at(axis.tolerance)];
  const middle = HEIGHT / 2;
  const parts = [
    shape("rect", { class: "band", x: 0, y: 0, width: end, height: HEIGHT }),
    shape("line", { class: "limit", x1: end, x2: end, y1: 0, y2: HEIGHT }),
  ];
  if (!Number.isFinite(error)) {
    parts.push(shape("text", { x: end + 8, y: middle + 4 }, "nothing to compare with"));
    return picture(parts, "nothing to compare with");
  }
  const x = axis.at(error);
  if (Number.isFinite(spread) && spread > 0) {
    const [low, high] = [Math.max(error - spread, 0), Math.min(error + spread, 1)];
    const [x1, x2] = [low > axis.low ? axis.at(low) : start - ROOM, axis.at(high)];
    parts.push(shape("line", { class: "bar", x1, x2, y1: middle, y2: middle }));
    for (const edge of low > axis.low ? [x1, x2] : [x2]) parts.push(shape("line", { class: "bar", x1: edge, x2: edge, y1: middle - 4, y2: middle + 4 }));
  }
  const mark =
    word === "mismatch" || word === "FAIL"
      ? shape("path", { class: "dot", d: `M${x - 4.5} ${middle - 4.5}l9 9m0 -9l-9 9` })
      : shape("circle", { class: kind === "coordinate" ? "dot" : "dot ring", cx: x, cy: middle, r: 4 });
  return picture([...parts, mark], `${errorPercentage(error)}, error bar ${errorPercentage(spread)}`);
}

function picture(parts, says) {
  return shape(
    "svg",
    { class: "errors", width: WIDTH, height: HEIGHT, viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": says },
    shape("title", {}, says),
    ...parts,
  );
}

function label(share) {
  const percent = 100 * share;
  return percent >= 0.01 ? `${Number(percent.toPrecision(1))} %` : `1e${Math.round(Math.log10(percent))} %`;
}

/** The part of a comparison's relative error that its error bar may explain. */
export function spreadOf({ analytic, numerical, error_bar, relative_error }) {
  if (![analytic, numerical, error_bar].every(Number.isFinite)) return null;
  // Along a direction the sizes are not those of the slopes alone: by the error itself.
  const apart = Math.abs(analytic - numerical);
  const size = apart > 0 && relative_error > 0 ? apart / relative_error : Math.abs(analytic) + Math.abs(numerical);
  return size > 0 ? error_bar / size : null;
}

/** A key to the marks. */
export function errorKey() {
  return element("p", { class: "quiet key" }, "● entry   ○ direction   ✕ mismatch   ─ error bar   shaded: within the tolerance");
}
