// Analytic against numerical slopes, on logarithmic axes.

import { figure, shape } from "./dom.js";

const SIZE = 280;
const EDGE = { left: 46, right: 10, top: 10, bottom: 40 };
const ROOM = SIZE - EDGE.left - EDGE.right;
const DEEPEST = 16;

/** Whether a comparison has two finite slopes. */
export function isDrawable({ analytic, numerical }) {
  return Number.isFinite(analytic) && Number.isFinite(numerical);
}

/** The picture; `onPoint(position)` tells which comparison the pointer is at. */
export function scatter(comparisons, onPoint) {
  const drawn = comparisons.map((c, position) => ({ ...c, position })).filter(isDrawable);
  const [low, high] = bounds(drawn);
  const at = (value) => ((Math.log10(Math.max(Math.abs(value), 10 ** low)) - low) / (high - low)) * ROOM;
  const x = (value) => EDGE.left + at(value);
  const y = (value) => EDGE.top + ROOM - at(value);
  return shape(
    "svg",
    {
      class: "scatter",
      viewBox: `0 0 ${SIZE} ${SIZE}`,
      role: "img",
      "aria-label": "Analytic slope against numerical slope, absolute values, logarithmic axes",
    },
    ...axes(low, high, x, y),
    shape("line", { class: "equal", x1: x(10 ** low), y1: y(10 ** low), x2: x(10 ** high), y2: y(10 ** high) }),
    ...drawn.map((comparison) => point(comparison, x, y, onPoint)),
  );
}

/** Whole decades around all slopes; what is zero is drawn at the low edge. */
function bounds(drawn) {
  const sizes = drawn.flatMap((c) => [Math.abs(c.analytic), Math.abs(c.numerical)]).filter(Boolean);
  if (!sizes.length) return [-1, 1];
  const high = Math.ceil(Math.log10(Math.max(...sizes)) + 0.1);
  const low = Math.floor(Math.log10(Math.min(...sizes)) - 0.1);
  const zeros = drawn.some((c) => c.analytic === 0 || c.numerical === 0);
  return [Math.max(low - (zeros ? 1 : 0), high - DEEPEST), Math.max(high, low + 2)];
}

function axes(low, high, x, y) {
  const every = Math.ceil((high - low) / 5);
  const decades = [];
  for (let decade = low; decade <= high; decade += every) decades.push(decade);
  const [start, end] = [10 ** low, 10 ** high];
  const middle = EDGE.left + ROOM / 2;
  const center = EDGE.top + ROOM / 2;
  return [
    ...decades.flatMap((decade) => {
      const value = 10 ** decade;
      return [
        shape("line", { class: "rule", x1: x(value), x2: x(value), y1: y(start), y2: y(end) }),
        shape("line", { class: "rule", x1: x(start), x2: x(end), y1: y(value), y2: y(value) }),
        shape("text", { x: x(value), y: y(start) + 15, "text-anchor": "middle" }, `1e${decade}`),
        shape("text", { x: x(start) - 6, y: y(value) + 4, "text-anchor": "end" }, `1e${decade}`),
      ];
    }),
    shape("text", { class: "axis", x: middle, y: SIZE - 6, "text-anchor": "middle" }, "|numerical|"),
    shape(
      "text",
      { class: "axis", x: 10, y: center, "text-anchor": "middle", transform: `rotate(-90 10 ${center})` },
      "|analytic|",
    ),
  ];
}

/** A dot; a cross where the signs differ; a ring for a direction. */
function point(comparison, x, y, onPoint) {
  const { analytic, numerical, kind, word, position } = comparison;
  const flipped = analytic * numerical < 0;
  const [cx, cy] = [x(numerical), y(analytic)];
  const mark = flipped
    ? shape("path", { d: `M${cx - 5} ${cy - 5}l10 10m0 -10l-10 10` })
    : shape("circle", { cx, cy, r: 4.5 });
  const says = `${label(comparison)}: ${word}${flipped ? ", signs differ" : ""}`;
  return shape(
    "g",
    {
      class: `point ${kind} ${word} ${flipped ? "flipped" : ""}`,
      "data-position": position,
      onpointerenter: () => onPoint(position),
      onpointerleave: () => onPoint(null),
    },
    shape("title", {}, `${says}\nanalytic ${figure(analytic)}, numerical ${figure(numerical)}`),
    mark,
  );
}

/** What a comparison is called: an index, or a direction. */
export function label({ kind, index }) {
  return kind === "coordinate" ? `[${(index ?? []).join(", ")}]` : kind;
}
