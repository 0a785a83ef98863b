// The course of a training over its steps: loss and gradient norm as they were read,
// and what was found, as marks.

import { element, shape } from "./dom.js";
import { clock, figure, moment, shortStep } from "./figures.js";
import { alertMarks, checkMarks, drawAlert, drawCheck, says } from "./marks.js";
import { curve, fitting, linear, round } from "./scale.js";

const PLOT = 92;
const EDGE = { left: 52, right: 56, top: 8 };
const LANE = 22;
const AXIS = 18;
// Pixels around the pointer in which a mark counts as meant.
const NEAR = 14;
// Where in a point the server puts what.
const [AT, STEP, EPOCH, WALL, LOSS, NORM] = [0, 1, 2, 3, 4, 5];

export class Timeline {
  /** `onCheck(column)` and `onAlert(position)` are called for marks that are chosen. */
  constructor({ onCheck, onAlert }) {
    this.on = { onCheck, onAlert };
    this.data = null;
    this.position = null;
    this.drawing = element("div", {
      class: "drawing",
      tabindex: 0,
      role: "group",
      "aria-label": "Timeline: arrow keys go from mark to mark, Enter opens one",
      onpointermove: (event) => this.point(event.clientX - this.drawing.getBoundingClientRect().left),
      onpointerleave: () => this.leave(),
      onclick: () => this.open(),
      onkeydown: (event) => this.key(event),
      onblur: () => this.leave(),
    });
    this.tip = element("div", { class: "tip", role: "status", hidden: true });
    this.legend = element("div", { class: "legend" });
    this.root = element(
      "section",
      { class: "card timeline", "aria-label": "Timeline" },
      element("div", { class: "card-head" }, element("h3", {}, "Timeline"), this.legend),
      element("div", { class: "plot" }, this.drawing, this.tip),
    );
    new ResizeObserver(() => this.draw()).observe(this.drawing);
  }

  /** Shows a run. */
  show(data) {
    this.data = data;
    this.draw();
  }

  /** Marks the check that is open, by its column, or an alert. */
  choose(column, alert = null) {
    this.chosen = { column, alert };
    for (const one of this.drawing.querySelectorAll("[data-mark]")) {
      const [check, position] = [one.dataset.column, one.dataset.position];
      one.classList.toggle("chosen", check === String(column) || (alert !== null && position === String(alert)));
    }
  }

  draw() {
    const { data, drawing } = this;
    const width = drawing.clientWidth;
    if (!data || !width) return;
    const { points, checks, alerts, begins } = data.timeline;
    const ends = [...points.map((p) => p[AT]), ...checks, ...alerts];
    this.root.hidden = !ends.length;
    if (!ends.length) return;
    const [low, high] = [ends.reduce((a, b) => Math.min(a, b)), ends.reduce((a, b) => Math.max(a, b))];
    const pad = low === high ? 1 : 0;
    const x = linear(low - pad, high + pad, EDGE.left, width - EDGE.right);
    this.x = x.at;
    const hasCurves = points.some((p) => p[LOSS] !== null || p[NORM] !== null);
    const bottom = EDGE.top + (hasCurves ? PLOT : 0);
    this.lanes = { alert: bottom + (alerts.length ? LANE - 8 : -LANE), check: 0 };
    this.lanes.check = (alerts.length ? this.lanes.alert + LANE : bottom + LANE - 8);
    const axis = this.lanes.check + (checks.length ? LANE - 8 : -LANE + 4);
    this.marks = [...checkMarks(data, x.at), ...alertMarks(data, x.at)].sort((a, b) => a.x - b.x);
    const curves = hasCurves ? this.curves(points, bottom) : { drawn: [], legend: [] };
    const height = axis + AXIS + 2;
    drawing.replaceChildren(
      shape(
        "svg",
        { width, height, viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" },
        ...this.begins(begins, axis),
        ...curves.drawn,
        ...stepTicks(x, axis, width, begins, pad ? [low] : null),
        shape("line", { class: "cross", y1: EDGE.top, y2: axis, x1: 0, x2: 0 }),
        ...this.marks.map((mark) =>
          mark.kind === "check" ? drawCheck(mark, this.lanes.check) : drawAlert(mark, this.lanes.alert, EDGE.top),
        ),
      ),
    );
    this.legend.replaceChildren(...curves.legend, ...legend(data, begins));
    if (this.chosen) this.choose(this.chosen.column, this.chosen.alert);
    if (this.position !== null) this.cross(this.position);
  }

  curves(points, bottom) {
    const drawn = [shape("rect", { class: "frame", x: EDGE.left, y: EDGE.top, width: Math.max(0, this.drawing.clientWidth - EDGE.left - EDGE.right), height: PLOT })];
    const found = [];
    const right = this.drawing.clientWidth - EDGE.right;
    for (const [field, name, label, isLeft] of [[LOSS, "loss", "loss", true], [NORM, "norm", "gradient norm", false]]) {
      const known = points.filter((p) => p[field] !== null);
      const scale = fitting(known.map((p) => p[field]), bottom - 4, EDGE.top + 4);
      if (!scale) continue;
      for (const tick of scale.ticks) {
        const y = scale.at(tick);
        if (isLeft) drawn.push(shape("line", { class: "rule", x1: EDGE.left, x2: right, y1: y, y2: y }));
        const [x, anchor] = isLeft ? [EDGE.left - 6, "end"] : [right + 6, "start"];
        drawn.push(shape("text", { class: `tick ${name}`, x, y: y + 4, "text-anchor": anchor }, figure(tick, 3)));
      }
      const path = known.map((p) => [this.x(p[AT]), Number.isFinite(p[field]) ? scale.at(p[field]) : NaN]);
      const line = known.flatMap((p, k) => (k && isApart(known[k - 1], p, this.data) ? [[0, NaN], path[k]] : [path[k]]));
      drawn.push(shape("path", { class: `curve ${name}`, d: curve(line) }));
      if (known.length === 1) drawn.push(shape("circle", { class: `curve ${name}`, cx: path[0][0], cy: path[0][1], r: 2 }));
      found.push(key(`curve ${name}`, label));
    }
    return { drawn, legend: found };
  }

  begins(begins, axis) {
    return begins.map(({ at }) => shape("line", { class: "begins", x1: this.x(at), x2: this.x(at), y1: EDGE.top, y2: axis }));
  }

  /** Says what is known where the pointer is. */
  point(x) {
    if (!this.marks) return;
    const near = this.marks.filter((mark) => Math.abs(mark.x - x) < NEAR);
    const mark = near.sort((a, b) => Math.abs(a.x - x) - Math.abs(b.x - x))[0];
    this.cross(mark ? mark.x : x, near);
  }

  cross(x, near = this.marks.filter((mark) => Math.abs(mark.x - x) < 1)) {
    const { data } = this;
    const line = this.drawing.querySelector(".cross");
    if (!line) return;
    const points = data.timeline.points;
    const point = points.reduce((best, p) => (!best || Math.abs(this.x(p[AT]) - x) < Math.abs(this.x(best[AT]) - x) ? p : best), null);
    const meant = near[0];
    const [step, epoch, wall] = this.when(meant, point);
    if (step === null) return;
    const at = meant ? meant.x : this.x(point[AT]);
    this.position = at;
    this.near = near;
    line.setAttribute("x1", at);
    line.setAttribute("x2", at);
    line.classList.add("seen");
    const isThere = point && Math.abs(this.x(point[AT]) - at) < NEAR;
    this.tip.replaceChildren(
      element("strong", {}, moment(step, epoch)),
      wall ? element("span", {}, clock(wall)) : "",
      isThere && point[LOSS] !== null ? element("span", {}, `loss ${figure(point[LOSS], 4)}`) : "",
      isThere && point[NORM] !== null ? element("span", {}, `gradient norm ${figure(point[NORM], 3)}`) : "",
      ...near.map((mark) => element("span", { class: "told" }, says(mark, data))),
    );
    this.tip.hidden = false;
    const room = this.drawing.clientWidth - this.tip.offsetWidth - 4;
    const left = at + 14 > room ? at - this.tip.offsetWidth - 14 : at + 14;
    this.tip.style.left = `${Math.max(0, left)}px`;
  }

  when(mark, point) {
    const { data } = this;
    if (mark?.kind === "check") return [data.steps[mark.column], data.epochs[mark.column], data.walls[mark.column]];
    if (mark) {
      const { step, epoch, wall } = data.alerts[mark.position];
      return [step, epoch, wall];
    }
    return point ? [point[STEP], point[EPOCH], point[WALL]] : [null, null, null];
  }

  leave() {
    this.tip.hidden = true;
    this.position = null;
    this.near = [];
    this.drawing.querySelector(".cross")?.classList.remove("seen");
  }

  open() {
    const mark = this.near?.[0];
    if (!mark) return;
    if (mark.kind === "check") this.on.onCheck(mark.column);
    else this.on.onAlert(mark.position);
  }

  key(event) {
    if (event.key === "Enter") return this.open();
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!by || !this.marks?.length) return;
    event.preventDefault();
    const places = [...new Set(this.marks.map((mark) => mark.x))];
    const now = this.position ?? (by > 0 ? -Infinity : Infinity);
    const next = by > 0 ? places.find((x) => x > now + 0.5) : places.findLast((x) => x < now - 0.5);
    if (next !== undefined) this.cross(next);
  }
}

/** Whether another fit began between two points. */
function isApart(one, other, data) {
  return data.timeline.begins.some(({ at }) => one[AT] < at && at <= other[AT]);
}

function stepTicks(x, y, width, begins, only) {
  // Steps begin anew where a training does: then only where no stretch is shifted.
  const isPlain = begins.every(({ at, step }) => at === step);
  const ticks = only ?? round(x.low, x.high, Math.max(2, Math.floor(width / 130))).filter((tick) => Number.isInteger(tick) && tick >= 0);
  const shown = isPlain ? ticks.map((tick) => [tick, tick]) : [[x.low, Math.round(x.low)], ...begins.map(({ at, step }) => [at, step])];
  return [
    shape("line", { class: "axis", x1: EDGE.left, x2: width - EDGE.right, y1: y, y2: y }),
    ...shown.map(([at, step]) => shape("text", { class: "tick", x: x.at(at), y: y + 14, "text-anchor": "middle" }, shortStep(step))),
    shape("text", { class: "tick", x: width - 4, y: y + 14, "text-anchor": "end" }, "step"),
  ];
}

function legend(data, begins) {
  const found = [];
  const has = (letter) => data.verdicts.includes(letter);
  if (has("P")) found.push(key("tone-pass", "right", "✓"));
  if (has("F")) found.push(key("tone-fail", "wrong", "✕"));
  if (has("I")) found.push(key("tone-inconclusive", "not told", "?"));
  if (data.alerts.some(({ kind }) => kind !== "nonfinite")) found.push(key("tone-alert", "alert", "▲"));
  if (data.alerts.some(({ kind }) => kind === "nonfinite")) found.push(key("tone-nan", "NaN or infinity", "∞"));
  if (begins.length) found.push(key("begins", "another fit", "┆"));
  return found;
}

function key(name, text, sign = "") {
  return element("span", {}, element("span", { class: `swatch ${name}`, "aria-hidden": "true" }, sign), text);
}
