// One variable in one check: why, all figures, and how far off each comparison is.

import { badge, button, element, name, sentence } from "./dom.js";
import { errorAxis, errorKey, errorRow, headWithErrors, spreadOf } from "./errors.js";
import { clock, errorPercentage, figure, moment, percentage } from "./figures.js";
import { sign, tone } from "./words.js";

const EXPLAINED = {
  match: "both agree",
  mismatch: "they differ beyond tolerance and error bar",
  kink: "the loss has a kink here, and the gradient lies between its two slopes",
  jump: "the loss itself jumps here",
  noisy: "the error bar is wider than the tolerance",
  zero: "both are zero, or below the error bar",
  nonfinite: "NaN or infinite",
};

/**
 * The panel for what the server told of a variable; `onClose` is called by its button,
 * `onCheck` by the one that leads to the check as a whole, unless it is null.
 */
export function detail(found, { onClose, onCheck }) {
  return element(
    "section",
    { class: "detail", "aria-label": "Details" },
    heading(found, onClose, onCheck),
    element("p", { class: "reason" }, reasonOf(found)),
    found.applied ? element("p", { class: "reason" }, sentence(`The optimizer is handed ${found.applied}.`)) : null,
    element(
      "div",
      { class: "evidence" },
      element("div", { class: "table" }, comparisonTable(found)),
      element("div", { class: "figures" }, figures(found), training(found)),
    ),
    ...found.notes.map((note) => element("p", { class: "note" }, sentence(note))),
  );
}

/** The same place, when there is nothing to show. */
export function detailProblem(message, onClose) {
  return element(
    "section",
    { class: "detail", "aria-label": "Details" },
    element("div", { class: "heading" }, element("h2", { tabindex: -1 }, message), closeButton(onClose)),
  );
}

function heading(found, onClose, onCheck) {
  const shape = found.shape.length ? `shape ${found.shape.join(" × ")}` : "a scalar";
  const error = found.relative_error;
  return element(
    "div",
    { class: "heading" },
    badge(found.verdict, sign(found.verdict), tone(found.verdict)),
    element("h2", { tabindex: -1 }, name(found.label)),
    element("span", { class: "quiet", title: clock(found.wall) }, `${moment(found.step, found.epoch)}, ${shape}`),
    typeof error === "number" ? element("strong", { class: "size" }, `${errorPercentage(error)} off`) : null,
    onCheck ? button("The whole check", onCheck) : null,
    closeButton(onClose),
  );
}

function closeButton(onClose) {
  return element("button", { class: "close", type: "button", "aria-label": "Close details", title: "Close (Esc)", onclick: onClose }, "✕");
}

function reasonOf(found) {
  if (found.reason) return sentence(found.reason);
  return "The gradient agrees with differences of the loss.";
}

function figures(found) {
  return definitions("Comparison", [
    ["relative error", figure(found.relative_error, 2), "|a - n| / (|a| + |n|) over all that was compared"],
    ["tolerance", figure(found.tolerance, 2), "the largest relative error that counts as a match"],
    ["error bar", figure(found.error_bar, 2), "the part that errors of the differences may explain"],
    ["resolution", figure(found.resolution, 2), "the smallest relative error that could have been seen"],
    ["compared", percentage(found.coverage), "share of the entries, singly or along a direction"],
    ["loss", figure(found.loss), `at the point that was checked${ofExamples(found.examples)}`],
    ["computed in", found.dtype, "precision of the losses that were differenced"],
  ]);
}

function ofExamples(examples) {
  if (!examples) return "";
  const [used, there] = examples;
  return used < there ? `, of ${used} of the ${there} examples` : `, of ${there} examples`;
}

function training(found) {
  if (!found.training_dtype && found.training_error === null) return null;
  return definitions("In training", [
    ["precision", found.training_dtype || "–", "the lowest in which layers compute while the model trains"],
    ["relative error", figure(found.training_error, 2), "of the gradient of training, against float64"],
    ["vanished", percentage(found.vanished), "entries that are exactly zero in training only"],
    ["overflowed", percentage(found.overflowed), "entries that are NaN or infinite in training"],
  ]);
}

/** Terms with their values; each says what it means to who points at it. */
export function definitions(title, pairs) {
  const rows = pairs.flatMap(([term, value, meaning]) => [
    element("dt", { title: meaning }, term),
    element("dd", {}, value),
  ]);
  return element("div", {}, element("h3", {}, title), element("dl", {}, ...rows));
}

function comparisonTable(found) {
  const comparisons = [
    ...found.coordinates,
    ...found.directions.map((direction, i) => ({ ...direction, number: i + 1 })),
  ].map((one) => ({ ...one, spread: spreadOf(one) }));
  if (!comparisons.length) return element("p", { class: "quiet" }, "Nothing was compared.");
  const axis = errorAxis(comparisons, found.tolerance);
  const heads = ["", "analytic", "numerical", "± error bar", "rel. error"];
  return element(
    "div",
    {},
    element(
      "table",
      { class: "comparisons" },
      headWithErrors(heads, axis, [""]),
      element("tbody", {}, ...comparisons.map((one) => comparisonRow(one, axis))),
    ),
    errorKey(),
  );
}

function comparisonRow(comparison, axis) {
  const { analytic, numerical, error_bar, relative_error, word, number } = comparison;
  const flipped = analytic * numerical < 0 && word === "mismatch";
  return element(
    "tr",
    { class: word },
    element("th", { scope: "row" }, number ? `direction ${number}` : label(comparison)),
    element("td", {}, figure(analytic, 5)),
    element("td", {}, figure(numerical, 5)),
    element("td", {}, figure(error_bar, 1)),
    element("td", {}, figure(relative_error, 2)),
    element("td", { class: "picture" }, errorRow(axis, comparison)),
    element("td", { class: "word", title: EXPLAINED[word] ?? "" }, flipped ? `${word}, sign` : word),
  );
}

/** What a comparison is called: an index, or a direction. */
function label({ kind, index }) {
  return kind === "coordinate" ? `[${(index ?? []).join(", ")}]` : kind;
}
