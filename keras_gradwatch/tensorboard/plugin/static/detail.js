// One variable in one check: why, all figures, and a picture of them.

import { element, figure, name, percentage } from "./dom.js";
import { isDrawable, label, scatter } from "./scatter.js";
import { tone } from "./words.js";

const EXPLAINED = {
  match: "both agree",
  mismatch: "they differ beyond tolerance and error bar",
  kink: "the loss has a kink here, and the gradient lies between its two slopes",
  jump: "the loss itself jumps here",
  noisy: "the error bar is wider than the tolerance",
  zero: "both are zero, or below the error bar",
  nonfinite: "NaN or infinite",
};

/** The panel for what the server told of a variable; `onClose` is called by its button. */
export function detail(found, onClose) {
  const comparisons = [
    ...found.coordinates,
    ...found.directions.map((direction, i) => ({ ...direction, number: i + 1 })),
  ];
  const table = comparisonTable(comparisons);
  const highlight = (index) => {
    for (const part of panel.querySelectorAll("[data-index]")) {
      part.classList.toggle("lit", index !== null && part.dataset.index === String(index));
    }
  };
  const panel = element(
    "section",
    { class: "detail", "aria-label": "Details" },
    heading(found, onClose),
    element("p", { class: "reason" }, reasonOf(found)),
    found.applied ? element("p", { class: "reason" }, name(`The optimizer is handed ${found.applied}.`)) : null,
    element(
      "div",
      { class: "evidence" },
      element("div", { class: "figures" }, figures(found), training(found)),
      picture(comparisons, highlight),
      element("div", { class: "table", onpointerover: (event) => highlight(rowOf(event)) }, table),
    ),
    ...found.notes.map((note) => element("p", { class: "note" }, name(note, { title: "" }))),
  );
  return panel;
}

/** The same place, when there is nothing to show. */
export function detailProblem(message, onClose) {
  return element(
    "section",
    { class: "detail", "aria-label": "Details" },
    element("div", { class: "heading" }, element("h2", {}, message), closeButton(onClose)),
  );
}

function heading(found, onClose) {
  const shape = found.shape.length ? `shape ${found.shape.join(" × ")}` : "a scalar";
  return element(
    "div",
    { class: "heading" },
    element("span", { class: `badge ${tone(found.verdict)}` }, found.verdict),
    element("h2", {}, name(found.label)),
    element("span", { class: "quiet" }, `step ${found.step}, ${shape}`),
    closeButton(onClose),
  );
}

function closeButton(onClose) {
  return element("button", { class: "close", type: "button", "aria-label": "Close details", onclick: onClose }, "✕");
}

function reasonOf(found) {
  if (found.reason) return name(found.reason, { title: "" });
  return "The gradient agrees with differences of the loss.";
}

function figures(found) {
  return definitions("Comparison", [
    ["relative error", figure(found.relative_error, 2)],
    ["tolerance", figure(found.tolerance, 2)],
    ["of it error bar", figure(found.error_bar, 2)],
    ["could have seen", figure(found.resolution, 2)],
    ["compared", percentage(found.coverage)],
    ["loss", figure(found.loss)],
    ["precision", found.dtype],
  ]);
}

function training(found) {
  if (!found.training_dtype && found.training_error === null) return "";
  return definitions("In training", [
    ["precision", found.training_dtype || "–"],
    ["off float64 by", figure(found.training_error, 2)],
    ["vanished", percentage(found.vanished)],
    ["overflowed", percentage(found.overflowed)],
  ]);
}

function definitions(title, pairs) {
  const rows = pairs.flatMap(([term, value]) => [element("dt", {}, term), element("dd", {}, value)]);
  return element("div", {}, element("h3", {}, title), element("dl", {}, ...rows));
}

function picture(comparisons, highlight) {
  const drawable = comparisons.filter(isDrawable);
  const flipped = drawable.some((c) => c.analytic * c.numerical < 0);
  const missing = comparisons.length - drawable.length;
  const lines = [
    "● entry   ○ direction   on the line: equal",
    flipped ? "✕ signs differ" : "",
    missing ? `${missing} without two finite slopes, not drawn` : "",
  ];
  return element(
    "figure",
    {},
    scatter(comparisons, highlight),
    element("figcaption", {}, lines.filter(Boolean).join("   ")),
  );
}

function comparisonTable(comparisons) {
  if (!comparisons.length) return element("p", { class: "quiet" }, "Nothing was compared.");
  const heads = ["entry", "analytic", "numerical", "± error bar", "rel. error", ""];
  return element(
    "table",
    {},
    element("thead", {}, element("tr", {}, ...heads.map((text) => element("th", { scope: "col" }, text)))),
    element("tbody", {}, ...comparisons.map(comparisonRow)),
  );
}

function comparisonRow(comparison, index) {
  const { analytic, numerical, error_bar, relative_error, word, number } = comparison;
  const flipped = analytic * numerical < 0 && word === "mismatch";
  return element(
    "tr",
    { class: word, "data-index": index },
    element("th", { scope: "row" }, number ? `direction ${number}` : label(comparison)),
    element("td", {}, figure(analytic, 5)),
    element("td", {}, figure(numerical, 5)),
    element("td", {}, figure(error_bar, 1)),
    element("td", {}, figure(relative_error, 2)),
    element("td", { class: "word", title: EXPLAINED[word] ?? "" }, flipped ? `${word}, sign` : word),
  );
}

function rowOf(event) {
  const index = event.target.closest("tr")?.dataset.index;
  return index === undefined ? null : index;
}
