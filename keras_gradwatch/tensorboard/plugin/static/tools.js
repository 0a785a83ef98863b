// What stands above the grid: filters, ways to places in it, and what its signs mean.

import { button, element } from "./dom.js";
import { plural } from "./figures.js";
import { VERDICTS, tone } from "./words.js";

export class Tools {
  /** `onFilter()`, `onFailure()` and `onNewest()` are called when a user asks for it. */
  constructor({ onFilter, onFailure, onNewest }) {
    this.text = element("input", { type: "search", placeholder: "Filter variables", "aria-label": "Filter variables", oninput: onFilter });
    this.failures = element("input", { type: "checkbox", onchange: onFilter });
    this.count = element("span", { class: "quiet count", role: "status" });
    this.toFailure = button("First failure", onFailure, { hidden: true });
    this.toNewest = button("Newest", onNewest, { hidden: true });
    this.root = element(
      "div",
      { class: "card-head tools" },
      element("h3", {}, "Variables by checks"),
      this.count,
      this.toFailure,
      this.toNewest,
      element("label", {}, this.failures, "Failures only"),
      this.text,
    );
    this.legend = element("div", { class: "legend grid-legend" });
  }

  /** Whether a variable is to be shown. */
  shows({ label, cells }) {
    const wanted = this.text.value.trim().toLowerCase();
    return label.toLowerCase().includes(wanted) && (!this.failures.checked || cells.includes("F"));
  }

  /** Tells how many there are, and offers what makes sense. */
  tell(data, overflows) {
    const { variables, steps } = data;
    const left = variables.filter((one) => this.shows(one)).length;
    const some = left === variables.length ? "" : `${left} of `;
    this.count.textContent = `${some}${plural(variables.length, "variable")}, ${plural(steps.length, "check")}`;
    this.toNewest.hidden = !overflows;
    this.toFailure.hidden = !overflows || !data.verdicts.includes("F");
    this.legend.replaceChildren(...legend(data));
  }
}

/** The verdicts that are there. */
function legend(data) {
  const there = new Set(data.variables.flatMap(({ cells }) => [...cells]));
  const items = Object.entries(VERDICTS).filter(([letter]) => there.has(letter));
  const found = items.map(([letter, { word, sign, meaning }]) =>
    element(
      "span",
      { title: meaning },
      element("span", { class: `swatch ${tone(word)}`, "aria-hidden": "true" }, sign),
      letter === "F" ? "FAIL, with the relative error" : word,
    ),
  );
  if (data.blamed.length) found.push(element("span", {}, element("span", { class: "swatch place" }, "➜"), "look here"));
  return found;
}
