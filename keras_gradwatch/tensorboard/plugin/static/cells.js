// The cells of the grid, and the heads of its columns.

import { element, visible } from "./dom.js";
import { clock, errorPercentage, moment, shortStep } from "./figures.js";
import { level, tone, verdictOf } from "./words.js";

export const ROW = 26;
export const COLUMN = 58;

/** The head of a column: step, and the epoch where another begins. */
export function head(data, column) {
  const [step, epoch] = [data.steps[column], data.epochs[column]];
  const begins = column > 0 && data.trainings.includes(column);
  const isNew = epoch !== null && (column === 0 || epoch !== data.epochs[column - 1]);
  const when = `${moment(step, epoch)}\n${clock(data.walls[column])}`;
  return element(
    "div",
    {
      class: begins ? "head begins" : "head",
      style: { left: `${column * COLUMN}px` },
      title: `${when}${begins ? "\na new training" : ""}\nOpens the whole check.`,
      "data-column": column,
    },
    element("span", { class: "head-step" }, shortStep(step)),
    isNew ? element("span", { class: "head-epoch" }, `epoch ${epoch + 1}`) : null,
  );
}

/** One cell; null where there is nothing to show. */
export function cell(data, row, index, column, chosen) {
  const place = { left: `${column * COLUMN}px`, top: `${index * ROW}px` };
  const make = { alerts: alertCell, layer: placeCell, place: placeCell }[row.kind] ?? verdictCell;
  const node = make(data, row, column);
  if (!node) return null;
  Object.assign(node.style, place);
  node.dataset.row = index;
  node.dataset.column = column;
  if (chosen) node.classList.add("chosen");
  return node;
}

// What stands for an error where there is none.
const ERRORS = {
  still: ", found wrong before, and not looked at again in this check",
  none: ", there is no gradient",
  NaN: ", the gradient is not finite",
};

function verdictCell(data, row, column) {
  const letter = row.cells[column];
  const { word, sign } = verdictOf(letter);
  const warned = row.kind === "all" && letter !== "F" && data.warned.includes(column);
  const error = row.errors?.[column];
  const wrong = letter === "F";
  const classes = ["cell", row.kind, warned ? "tone-alert" : tone(letter)];
  if (wrong && row.kind === "variable") classes.push(`level-${error === "still" ? "still" : level(error)}`);
  const more = error === undefined ? "" : ERRORS[error] ?? `, relative error ${errorPercentage(error)}`;
  return element(
    "div",
    {
      class: classes.join(" "),
      title: `${visible(row.title).slice(0, 300)}\n${moment(data.steps[column], data.epochs[column])}: ${word}${more}${warned ? ", with a warning" : ""}\n${clock(data.walls[column])}`,
    },
    wrong ? `✕ ${row.kind === "variable" && error !== undefined ? inCell(error) : "FAIL"}` : `${sign}${warned ? " !" : ""}`,
  );
}

/** How wrong, in the room of a cell. */
function inCell(error) {
  return ERRORS[error] ? error : errorPercentage(error).replace(" ", "");
}

function placeCell(data, row, column) {
  if (row.cells[column] !== "!") return null;
  const words = visible(row.blamed?.title ?? row.title);
  return element("div", { class: "cell place", title: `Look at ${words}\n${moment(data.steps[column], data.epochs[column])}` }, "look");
}

function alertCell(data, row, column) {
  const found = row.found.get(column);
  if (!found) return null;
  const isNan = found.some(({ kind }) => kind === "nonfinite");
  return element(
    "div",
    {
      class: `cell alerts ${isNan ? "tone-nan" : "tone-alert"}`,
      title: found.map(({ kind, step, epoch }) => visible(`${kind}, ${moment(step, epoch)}`)).join("\n"),
    },
    isNan ? "NaN" : `▲ ${found.length > 1 ? found.length : ""}`,
  );
}
