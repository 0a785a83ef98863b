// The grid of verdicts, variables by checks. Only what is in sight is in the
// page: 200 variables by 1,000 checks are 200,000 cells.

import { element, name, visible } from "./dom.js";
import { tone, verdictOf } from "./words.js";

const ROW = 26;
const COLUMN = 46;
const HEAD = 28;
// The page is changed only each time so many rows or columns have passed.
const CHUNK = 8;

export class Grid {
  /**
   * `onSelect(row, column)` is called with a variable and the number of a check,
   * `onAlert(column)` with the number of a check that has alerts beside it.
   */
  constructor(onSelect, onAlert) {
    this.onSelect = onSelect;
    this.onAlert = onAlert;
    this.data = null;
    this.rows = [];
    this.selected = null;
    this.drawn = "";
    this.kept = new Map();
    this.heads = element("div", { class: "heads" });
    this.names = element("div", { class: "names" });
    this.cells = element("div", { class: "cells" });
    this.corner = element("div", { class: "corner" }, "variable \\ step");
    this.sizer = element("div", { class: "sizer" }, this.corner, this.heads, this.names, this.cells);
    this.root = element(
      "div",
      {
        class: "grid",
        tabindex: 0,
        role: "group",
        "aria-label": "Verdicts, variables by checks",
        onscroll: () => requestAnimationFrame(() => this.draw()),
        onclick: (event) => this.click(event),
        onkeydown: (event) => this.key(event),
      },
      this.sizer,
    );
    new ResizeObserver(() => this.draw()).observe(this.root);
  }

  /** Shows other data; stays where it was, or at the newest check if it was there. */
  show(data, shown) {
    const isNew = !this.data;
    const atEnd = isNew || this.atEnd();
    this.data = data;
    this.rows = layOut(data, shown);
    const width = data.steps.length * COLUMN;
    this.sizer.style.setProperty("--width", `${width}px`);
    this.sizer.style.setProperty("--height", `${this.rows.length * ROW}px`);
    if (atEnd) this.root.scrollLeft = this.root.scrollWidth;
    if (isNew) this.revealFailure(data.steps.length - 1);
    this.redraw();
  }

  /** Begins anew, for another run. */
  forget() {
    this.data = null;
  }

  /** Marks one cell: a variable's key and the key of a check. */
  select(selected) {
    this.selected = selected;
    this.redraw();
  }

  /** Brings the marked cell into sight. */
  revealSelected() {
    const row = this.rows.findIndex(({ key }) => key && key === this.selected?.variable);
    if (row >= 0) this.reveal(row, this.data.checks.indexOf(this.selected.check));
  }

  /** Whether there are checks out of sight. */
  overflows() {
    return this.root.scrollWidth > this.root.clientWidth + 1;
  }

  /** Brings a check into sight. */
  scrollTo(column) {
    const room = this.root.clientWidth - this.names.offsetWidth;
    this.root.scrollLeft = column * COLUMN - (room - COLUMN) / 2;
    this.draw();
  }

  /** Brings the first variable into sight that fails in this check, if one does. */
  revealFailure(column) {
    const row = this.rows.findIndex(({ kind, cells }) => kind === "variable" && cells[column] === "F");
    if (row >= 0) this.reveal(row, column);
  }

  atEnd() {
    const { scrollLeft, scrollWidth, clientWidth } = this.root;
    return scrollLeft + clientWidth > scrollWidth - COLUMN;
  }

  draw() {
    if (!this.data) return;
    const [top, bottom] = span(this.root.scrollTop, this.root.clientHeight, ROW, this.rows.length);
    const [left, right] = span(this.root.scrollLeft, this.root.clientWidth, COLUMN, this.data.steps.length);
    const now = [top, bottom, left, right].join();
    if (now === this.drawn) return;
    this.drawn = now;
    this.heads.replaceChildren(...range(left, right).map((column) => this.head(column)));
    const rows = range(top, bottom);
    this.names.replaceChildren(...rows.map((row) => this.name(row)));
    this.drawCells(rows, range(left, right));
  }

  /** Cells that stay in sight stay in the page: making them is what takes time. */
  drawCells(rows, columns) {
    const before = this.kept;
    const fresh = [];
    this.kept = new Map();
    for (const row of rows.filter((index) => this.rows[index].kind !== "layer")) {
      for (const column of columns) {
        const place = `${row},${column}`;
        const cell = before.get(place) ?? this.cell(row, column);
        if (!before.delete(place)) fresh.push(cell);
        this.kept.set(place, cell);
      }
    }
    for (const cell of before.values()) cell.remove();
    this.cells.append(...fresh);
  }

  /** Draws all anew. */
  redraw() {
    this.drawn = "";
    this.kept.clear();
    this.cells.replaceChildren();
    this.draw();
  }

  head(column) {
    const step = this.data.steps[column];
    const begins = column > 0 && this.data.trainings.includes(column);
    return element(
      "div",
      {
        class: begins ? "head begins" : "head",
        style: { left: `${column * COLUMN}px` },
        title: begins ? `step ${step}, a new training` : `step ${step}`,
      },
      short(step),
    );
  }

  name(index) {
    const row = this.rows[index];
    const place = { top: `${index * ROW}px` };
    return element("div", { class: `name ${row.kind}`, style: place }, name(row.name, row.title));
  }

  cell(index, column) {
    const row = this.rows[index];
    const letter = row.cells[column];
    if (row.kind === "alerts") return this.alertCell(index, column);
    const { word, sign } = verdictOf(letter);
    const place = { left: `${column * COLUMN}px`, top: `${index * ROW}px` };
    const chosen = row.key === this.selected?.variable && this.data.checks[column] === this.selected?.check;
    const attributes = {
      class: `cell ${row.kind} ${tone(letter)}${chosen ? " chosen" : ""}`,
      style: place,
      title: `${visible(row.title).slice(0, 300)}\nstep ${this.data.steps[column]}: ${word}`,
      "data-row": index,
      "data-column": column,
    };
    return element("div", attributes, sign);
  }

  alertCell(index, column) {
    const found = this.rows[index].found.get(column) ?? [];
    return element(
      "div",
      {
        class: `cell alerts ${found.length ? "tone-alert" : ""}`,
        style: { left: `${column * COLUMN}px`, top: `${index * ROW}px` },
        title: found.map((alert) => visible(`${alert.kind}, step ${alert.step}`)).join("\n") || null,
        "data-column": column,
      },
      found.length ? "!" : "",
    );
  }

  click(event) {
    const alert = event.target.closest(".cell.alerts.tone-alert");
    if (alert) this.onAlert(Number(alert.dataset.column));
    const cell = event.target.closest(".cell.variable");
    if (cell) this.choose(Number(cell.dataset.row), Number(cell.dataset.column));
  }

  key(event) {
    const [down, right] = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key] ?? [0, 0];
    if (!down && !right) return;
    event.preventDefault();
    const start = this.rows.findIndex((row) => row.key && row.key === this.selected?.variable);
    let row = start < 0 ? -1 : start;
    const known = this.data.checks.indexOf(this.selected?.check);
    const column = clamp((known < 0 ? this.data.checks.length - 1 : known) + right, this.data.checks.length);
    // Headings of layers are stepped over.
    const step = down || (start < 0 ? 1 : 0);
    do row += step;
    while (step && this.rows[row] && this.rows[row].kind !== "variable");
    if (!this.rows[row]) return;
    this.choose(row, column);
  }

  choose(row, column) {
    // A variable that was not part of the check has no details.
    if (this.rows[row].cells[column] === " ") return;
    this.onSelect(this.rows[row], column);
  }

  reveal(row, column) {
    const { root } = this;
    const seen = { x: root.clientWidth - this.names.offsetWidth, y: root.clientHeight - HEAD };
    root.scrollLeft = nearest(root.scrollLeft, column * COLUMN, COLUMN, seen.x);
    root.scrollTop = nearest(root.scrollTop, row * ROW, ROW, seen.y);
  }
}

/** The rows: all variables as one, then each layer and its variables. */
function layOut(data, shown) {
  const rows = [{ kind: "all", name: "all variables", title: "all variables", cells: data.verdicts }];
  if (data.alerts.length) {
    const found = new Map();
    for (const alert of data.alerts) found.set(alert.column, [...(found.get(alert.column) ?? []), alert]);
    rows.unshift({ kind: "alerts", name: "alerts", title: "alerts", cells: "", found });
  }
  const layers = new Map();
  for (const variable of data.variables.filter(shown)) {
    if (!layers.has(variable.layer)) layers.set(variable.layer, []);
    layers.get(variable.layer).push(variable);
  }
  for (const [layer, variables] of layers) {
    if (layer) rows.push({ kind: "layer", name: layer, title: layer });
    for (const variable of variables) {
      rows.push({ ...variable, kind: "variable", title: variable.label });
    }
  }
  return rows;
}

function span(scrolled, room, size, count) {
  const first = Math.floor(scrolled / size / CHUNK) * CHUNK;
  const last = Math.ceil((scrolled + room) / size / CHUNK + 1) * CHUNK;
  return [Math.max(0, first - CHUNK), Math.min(count, last)];
}

function range(start, end) {
  return Array.from({ length: Math.max(0, end - start) }, (_, i) => start + i);
}

function clamp(value, count) {
  return Math.max(0, Math.min(count - 1, value));
}

/** Scrolls no further than is needed. */
function nearest(scrolled, start, size, room) {
  return Math.max(start + size - room, Math.min(scrolled, start));
}

function short(step) {
  if (step < 1e5) return String(step);
  return step < 1e6 ? `${Math.floor(step / 1e3)}k` : `${(step / 1e6).toFixed(1)}M`;
}
