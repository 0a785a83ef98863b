// One variable in one check: why, all figures, and a picture of them.

import { element, figure, name, percentage, sentence } from "./dom.js";
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
  const highlight = (position) => {
    for (const part of panel.querySelectorAll("[data-position]")) {
      part.classList.toggle("lit", part.dataset.position === String(position));
    }
  };
  const panel = element(
    "section",
    { class: "detail", "aria-label": "Details" },
    heading(found, onClose),
    element("p", { class: "reason" }, reasonOf(found)),
    found.applied ? element("p", { class: "reason" }, sentence(`The optimizer is handed ${found.applied}.`)) : null,
    element(
      "div",
      { class: "evidence" },
      element("div", { class: "figures" }, figures(found), training(found)),
      picture(comparisons, highlight),
      element("div", { class: "table", onpointerover: (event) => highlight(rowOf(event)) }, table),
    ),
    ...found.notes.map((note) => element("p", { class: "note" }, sentence(note))),
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
  if (!found.training_dtype && found.training_error === null) return "";
  return definitions("In training", [
    ["precision", found.training_dtype || "–", "the lowest in which layers compute while the model trains"],
    ["relative error", figure(found.training_error, 2), "of the gradient of training, against float64"],
    ["vanished", percentage(found.vanished), "entries that are exactly zero in training only"],
    ["overflowed", percentage(found.overflowed), "entries that are NaN or infinite in training"],
  ]);
}

function definitions(title, pairs) {
  const rows = pairs.flatMap(([term, value, meaning]) => [
    element("dt", { title: meaning }, term),
    element("dd", {}, value),
  ]);
  return element("div", {}, element("h3", {}, title), element("dl", {}, ...rows));
}

function picture(comparisons, highlight) {
  const drawable = comparisons.filter(isDrawable);
  const flipped = drawable.some((c) => c.analytic * c.numerical < 0);
  const missing = comparisons.length - drawable.length;
  const lines = [
    "● entry   ○ direction   on the diagonal: equal",
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

function comparisonRow(comparison, position) {
  const { analytic, numerical, error_bar, relative_error, word, number } = comparison;
  const flipped = analytic * numerical < 0 && word === "mismatch";
  return element(
    "tr",
    { class: word, "data-position": position },
    element("th", { scope: "row" }, number ? `direction ${number}` : label(comparison)),
    element("td", {}, figure(analytic, 5)),
    element("td", {}, figure(numerical, 5)),
    element("td", {}, figure(error_bar, 1)),
    element("td", {}, figure(relative_error, 2)),
    element("td", { class: "word", title: EXPLAINED[word] ?? "" }, flipped ? `${word}, sign` : word),
  );
}

function rowOf(event) {
  return event.target.closest("tr")?.dataset.position ?? null;
}
