// One check as a whole: its headline, notes by severity, all that was compared, and how.

import { badge, button, element, name, sentence } from "./dom.js";
import { definitions } from "./detail.js";
import { errorAxis, errorKey, errorRow, headWithErrors } from "./errors.js";
import { clock, errorPercentage, figure, moment, percentage, plural } from "./figures.js";
import { VERDICTS, sign, tone } from "./words.js";

const SEVERITIES = [
  ["severe", "Keeps weights from learning", "!", "tone-alert"],
  ["limit", "Not seen, or less sharply", "?", "tone-inconclusive"],
  ["hint", "Good to know", "i", "tone-unused"],
];
// Variables that the table has at first.
const FEW = 200;
// As the server sorts verdicts, the worst first.
const ORDER = "FBIEUZP";

/** The page; `onBack` leads to the run, `onVariable(key)` to one variable. */
export function checkPage(found, { onBack, onVariable, run }) {
  const warned = found.warning && found.verdict !== "FAIL";
  return element(
    "section",
    { class: "check-page", "aria-label": "Check" },
    element(
      "div",
      { class: "crumbs" },
      button("‹ Back to the run", onBack, { class: "action back" }),
      element("span", { class: "quiet" }, name(run)),
    ),
    element(
      "article",
      { class: `finding large ${warned ? "tone-alert" : tone(found.verdict)}` },
      element(
        "div",
        { class: "finding-head" },
        badge(found.verdict, sign(found.verdict), tone(found.verdict)),
        warned ? badge("WARNING", "!", "tone-alert") : null,
        element("h2", { class: "title", tabindex: -1 }, `Check at ${moment(found.step, found.epoch)}`),
        element("span", { class: "since" }, clock(found.wall)),
      ),
      element("p", { class: "text" }, sentence(found.headline)),
      ...found.looks.map((text) => element("p", { class: "text" }, sentence(text))),
    ),
    notes(found.notes),
    facts(found),
    variableTable(found, onVariable),
  );
}

function notes(found) {
  const groups = SEVERITIES.filter(([key]) => found[key]?.length);
  if (!groups.length) return null;
  return element(
    "div",
    { class: "notes" },
    ...groups.map(([key, title, mark, color]) =>
      element(
        "section",
        { class: `note-group ${color}` },
        element("h3", {}, element("span", { class: `swatch ${color}`, "aria-hidden": "true" }, mark), title),
        element("ul", {}, ...found[key].map((text) => element("li", {}, sentence(text)))),
      ),
    ),
  );
}

function facts(found) {
  const [used, there] = found.examples ?? [null, null];
  const batch = used === null ? "–" : used < there ? `${used} of ${there} examples` : plural(there, "example");
  const told = Object.values(VERDICTS).map(({ word }) => [word, found.variables.filter(({ verdict }) => verdict === word).length]);
  return element(
    "div",
    { class: "card facts" },
    definitions("What was compared", [
      ["variables", String(found.variables.length), "trainable variables, each of each loss"],
      ...told.filter(([, count]) => count).map(([word, count]) => [word, String(count), ""]),
      ["tolerance", errorPercentage(found.tolerance), "the largest relative error that counts as a match"],
    ]),
    definitions("On what", [
      ["batch", batch, "of the batch that was about to be trained on"],
      ["loss", figure(found.loss), "at the point that was checked"],
      ["switched off", found.switched_off.join(", ") || "nothing", "layers that draw at random while training, and did nothing here"],
      ["drawn once", found.drawn_once.join(", ") || "nothing", "layers that drew at random once for all losses of the check"],
    ]),
    definitions("Cost", [
      ["time", `${figure(found.seconds, 3)} s`, "that the check took"],
      ["losses", found.evaluations.toLocaleString("en"), "how often the loss was evaluated"],
      ["seed", String(found.seed), "of the draws"],
    ]),
    definitions("Precision", [
      ["check", found.dtype, "in which losses were differenced"],
      ["training", found.training_dtype || "not seen", "the lowest in which layers compute while the model trains"],
    ]),
  );
}

function variableTable(found, onVariable) {
  if (!found.variables.length) return null;
  const rows = found.variables.map((one) => ({ ...one, spread: one.error_bar, word: one.verdict, kind: "coordinate" }));
  const rank = ({ verdict }) => ORDER.indexOf(Object.keys(VERDICTS).find((letter) => VERDICTS[letter].word === verdict));
  rows.sort((a, b) => rank(a) - rank(b) || (rank(a) === 0 ? size(b) - size(a) : 0));
  const axis = errorAxis(rows, found.tolerance);
  const body = element("tbody", {}, ...rows.slice(0, FEW).map((one) => variableRow(one, axis, onVariable)));
  const rest = rows.slice(FEW);
  const more = rest.length ? button(`${plural(rest.length, "more variable")}`, () => {
    body.append(...rest.map((one) => variableRow(one, axis, onVariable)));
    more.remove();
  }) : null;
  const heads = ["verdict", "variable", "shape", "rel. error"];
  return element(
    "div",
    { class: "card" },
    element(
      "div",
      { class: "table" },
      element(
        "table",
        { class: "variables" },
        headWithErrors(heads, axis, ["compared", "why"]),
        body,
      ),
    ),
    more,
    errorKey(),
  );
}

function size({ relative_error: error }) {
  return typeof error === "number" ? error : Infinity;
}

function variableRow(one, axis, onVariable) {
  return element(
    "tr",
    { class: one.verdict === "FAIL" ? "mismatch" : "", "data-key": one.key, onclick: () => onVariable(one.key) },
    element("td", {}, badge(one.verdict, sign(one.verdict), tone(one.verdict))),
    element("th", { scope: "row" }, element("button", { type: "button", class: "link" }, name(one.label))),
    element("td", {}, one.shape.length ? one.shape.join(" × ") : "scalar"),
    element("td", {}, figure(one.relative_error, 2)),
    element("td", { class: "picture" }, errorRow(axis, one)),
    element("td", {}, percentage(one.coverage)),
    element("td", { class: "why" }, sentence(one.reason || (one.applied ? `The optimizer is handed ${one.applied}.` : ""))),
  );
}
