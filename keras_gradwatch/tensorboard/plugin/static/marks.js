// Marks on the timeline: checks, alerts, the first NaN, and where a fit began.

import { shape, visible } from "./dom.js";
import { sign, tone, verdictOf } from "./words.js";

// Pixels that a mark takes: what is closer together is one, as bad as its worst.
const ROOM = 18;
const WORST = "FBIEUZP";

/** The marks of checks, those that are close together as one. */
export function checkMarks(data, x) {
  const { checks: places } = data.timeline;
  const found = places.map((at, column) => ({
    x: x(at),
    at,
    kind: "check",
    letter: data.verdicts[column],
    warned: data.warned.includes(column),
    column,
    columns: [column],
  }));
  return merged(found, (one, other) => {
    const worse = WORST.indexOf(other.letter) < WORST.indexOf(one.letter) ? other : one;
    return { ...worse, x: one.x, warned: one.warned || other.warned, columns: [...one.columns, ...other.columns] };
  });
}

/** The marks of alerts, likewise. */
export function alertMarks(data, x) {
  const found = data.timeline.alerts.map((at, position) => ({
    x: x(at),
    at,
    kind: "alert",
    isNan: data.alerts[position].kind === "nonfinite",
    position,
    positions: [position],
  }));
  found.sort((a, b) => a.at - b.at);
  return merged(found, (one, other) => ({
    ...(other.isNan && !one.isNan ? other : one),
    x: one.x,
    positions: [...one.positions, ...other.positions],
  }));
}

function merged(found, join) {
  const kept = [];
  for (const one of found) {
    const last = kept.at(-1);
    if (last && Math.abs(one.x - last.x) < ROOM) kept[kept.length - 1] = join(last, one);
    else kept.push(one);
  }
  return kept;
}

/** A check: its sign in a small square. */
export function drawCheck(mark, y) {
  const warned = mark.warned && mark.letter !== "F";
  const name = warned ? "tone-alert" : tone(mark.letter);
  return shape(
    "g",
    { class: `mark check ${name}`, "data-mark": "check", "data-column": mark.column },
    shape("rect", { x: mark.x - 7, y: y - 8, width: 14, height: 16, rx: 3 }),
    shape("text", { x: mark.x, y: y + 4, "text-anchor": "middle" }, warned ? "!" : sign(mark.letter)),
  );
}

/** An alert: a triangle; a NaN says so. */
export function drawAlert(mark, y, top) {
  const what = mark.isNan ? "nan" : "alert";
  const body = mark.isNan
    ? [
        shape("rect", { x: mark.x - 15, y: y - 8, width: 30, height: 16, rx: 3 }),
        shape("text", { x: mark.x, y: y + 4, "text-anchor": "middle" }, "NaN"),
      ]
    : [
        shape("path", { d: `M${mark.x} ${y - 9}l9 16h-18z` }),
        shape("text", { x: mark.x, y: y + 5, "text-anchor": "middle" }, "!"),
      ];
  return shape(
    "g",
    { class: `mark alert tone-${what}`, "data-mark": "alert", "data-position": mark.position },
    shape("line", { class: "drop", x1: mark.x, x2: mark.x, y1: top, y2: y - 9 }),
    ...body,
  );
}

/** What a mark says. */
export function says(mark, data) {
  if (mark.kind === "check") {
    const [count, word] = [mark.columns.length, verdictOf(mark.letter).word];
    return count > 1 ? `${count} checks, the worst ${word}` : `check: ${word}${mark.warned ? ", with a warning" : ""}`;
  }
  return mark.positions.map((k) => visible(data.alerts[k].title)).slice(0, 3).join(", ");
}
