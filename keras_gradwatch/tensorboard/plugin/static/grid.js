// The grid of verdicts, variables by checks. Only what is in sight is in the
// page: 200 variables by 1,000 checks are 200,000 cells.

import { COLUMN, ROW, cell, head } from "./cells.js";
import { element, name } from "./dom.js";
import { nameBelow } from "./names.js";
import { layOut } from "./rows.js";

const HEAD = 40;
// The page is changed only each time so many rows or columns have passed.
const CHUNK = 8;
// Rows that the keys go to.
const STOPS = ["variable", "all"];

export class Grid {
  /**
   * `onSelect(row, column)` is called with a variable and the number of a check,
   * `onCheck(column)` with the number of a check as a whole, `onAlert(position)` with
   * that of an alert, and `onEnter()` when what is open is to have the keys.
   */
  constructor({ onSelect, onCheck, onAlert, onEnter }) {
    this.on = { onSelect, onCheck, onAlert, onEnter };
    this.data = null;
    this.rows = [];
    this.selected = null;
    this.cursor = null;
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
        "aria-label": "Verdicts, variables by checks: arrow keys go from cell to cell",
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
    this.root.classList.toggle("no-epochs", data.epochs.every((epoch) => epoch === null));
    this.sizer.style.setProperty("--width", `${data.steps.length * COLUMN}px`);
    this.sizer.style.setProperty("--height", `${this.rows.length * ROW}px`);
    if (atEnd) this.root.scrollLeft = this.root.scrollWidth;
    if (isNew) this.revealFailure(data.steps.length - 1);
    this.redraw();
  }

  /** Begins anew, for another run. */
  forget() {
    this.data = this.cursor = null;
  }

  /** Marks one cell: a variable's key and the key of a check. */
  select(selected) {
    this.selected = selected;
    if (selected && this.data) {
      const row = this.rows.findIndex(({ key }) => key && key === selected.variable);
      const column = this.data.checks.indexOf(selected.check);
      if (row >= 0 && column >= 0) this.cursor = { row, column };
    }
    this.redraw();
  }

  /** Brings the marked cell into sight. */
  revealSelected() {
    if (this.cursor) this.reveal(this.cursor.row, this.cursor.column);
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

  /**
   * Brings into sight what a check points at, where wrong and right meet; or else the
   * first variable that fails in it, if one does.
   */
  revealFailure(column) {
    const blamed = this.rows.findIndex(({ kind, cells }) => kind === "place" && cells[column] === "!");
    const failing = this.rows.findIndex(({ kind, cells }) => kind === "variable" && cells[column] === "F");
    const row = blamed < 0 ? failing : blamed;
    // With one more: what comes next belongs to it.
    if (row < 0) return;
    this.reveal(Math.min(row + 1, this.rows.length - 1), column);
    this.root.scrollTop = Math.ceil(this.root.scrollTop / ROW) * ROW;
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
    this.heads.replaceChildren(...range(left, right).map((column) => head(this.data, column)));
    const rows = range(top, bottom);
    this.names.replaceChildren(...rows.map((row) => this.name(row)));
    this.drawCells(rows, range(left, right));
  }

  /** Cells that stay in sight stay in the page: making them is what takes time. */
  drawCells(rows, columns) {
    const before = this.kept;
    this.kept = new Map();
    const fresh = [];
    for (const row of rows) {
      for (const column of columns) {
        const place = `${row},${column}`;
        const kept = before.get(place);
        const node = kept ?? cell(this.data, this.rows[row], row, column, this.isChosen(row, column));
        if (!node) continue;
        if (!before.delete(place)) fresh.push(node);
        this.kept.set(place, node);
      }
    }
    for (const node of before.values()) node.remove();
    this.cells.append(...fresh);
  }

  isChosen(row, column) {
    const { cursor, selected } = this;
    if (cursor && this.rows[cursor.row]?.kind === "all") return row === cursor.row && column === cursor.column;
    return Boolean(selected) && this.rows[row].key === selected.variable && this.data.checks[column] === selected.check;
  }

  /** Draws all anew. */
  redraw() {
    this.drawn = "";
    this.kept.clear();
    this.cells.replaceChildren();
    this.draw();
  }

  name(index) {
    const row = this.rows[index];
    const blamed = row.kind === "place" || row.blamed;
    const shown = row.blamed ? row.blamed.words : row.name;
    return element(
      "div",
      { class: `name ${row.kind}${blamed ? " blamed" : ""}${row.above ? " alone" : ""}`, style: { top: `${index * ROW}px` }, "data-row": index },
      blamed ? element("span", { class: "arrow", "aria-hidden": "true" }, "➜ ") : null,
      row.above ? nameBelow(row.above, shown, row.title) : name(shown, row.blamed?.title ?? row.title),
    );
  }

  click(event) {
    const target = event.target.closest("[data-column], [data-row]");
    if (!target) return;
    const row = this.rows[target.dataset.row];
    // The name of a row stands for the newest of its cells.
    const column = target.dataset.column === undefined ? newest(row) : Number(target.dataset.column);
    if (column < 0) return;
    if (!row || row.kind === "all") this.on.onCheck(column);
    else if (row.kind === "alerts") this.on.onAlert(row.found.get(column)[0].position);
    else if (row.kind === "variable") this.choose(Number(target.dataset.row), column);
    else this.on.onCheck(column);
  }

  key(event) {
    if (event.key === "Enter") return this.enter(event);
    const [down, right] = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key] ?? [0, 0];
    if (!down && !right) return;
    event.preventDefault();
    const count = this.data.checks.length;
    // The first press goes to the newest check.
    const start = this.cursor ?? { row: down < 0 ? this.rows.length : 0, column: count - 1 - right };
    const column = Math.max(0, Math.min(count - 1, start.column + right));
    let row = start.row;
    // Headings of layers are stepped over.
    const by = down || (this.cursor ? 0 : 1);
    do row += by;
    while (by && this.rows[row] && !STOPS.includes(this.rows[row].kind));
    if (this.rows[row]) this.choose(row, column);
  }

  enter(event) {
    if (!this.cursor) return;
    event.preventDefault();
    if (this.rows[this.cursor.row]?.kind === "all") this.on.onCheck(this.cursor.column);
    else this.on.onEnter();
  }

  choose(row, column) {
    const chosen = this.rows[row];
    // A variable that was not part of the check has no details.
    if (chosen.kind === "variable" && chosen.cells[column] === " ") return;
    this.cursor = { row, column };
    if (chosen.kind === "variable") this.on.onSelect(chosen, column);
    else {
      this.redraw();
      this.reveal(row, column);
    }
  }

  reveal(row, column) {
    const { root } = this;
    const seen = { x: root.clientWidth - this.names.offsetWidth, y: root.clientHeight - HEAD };
    root.scrollLeft = nearest(root.scrollLeft, column * COLUMN, COLUMN, seen.x);
    root.scrollTop = nearest(root.scrollTop, row * ROW, ROW, seen.y);
  }
}

/** The last column in which a row has something, -1 if it has nothing anywhere. */
function newest({ cells, found }) {
  return found ? Math.max(...found.keys()) : (cells ?? "").trimEnd().length - 1;
}

function span(scrolled, room, size, count) {
  const first = Math.floor(scrolled / size / CHUNK) * CHUNK;
  const last = Math.ceil((scrolled + room) / size / CHUNK + 1) * CHUNK;
  return [Math.max(0, first - CHUNK), Math.min(count, last)];
}

function range(start, end) {
  return Array.from({ length: Math.max(0, end - start) }, (_, i) => start + i);
}

/** Scrolls no further than is needed. */
function nearest(scrolled, start, size, room) {
  return Math.max(start + size - room, Math.min(scrolled, start));
}
