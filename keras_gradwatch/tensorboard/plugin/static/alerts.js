// The alerts of a run: what the other callbacks noticed, beside the checks.

import { element, sentence } from "./dom.js";

// So many are open to the eye at first.
const FEW = 4;

export class Alerts {
  constructor() {
    this.shown = "";
    this.list = element("ol", {});
    this.summary = element("summary", {});
    this.root = element("details", { class: "alerts", hidden: true }, this.summary, this.list);
  }

  /** Shows these; what is open stays open while they are the same. */
  show(alerts) {
    const now = JSON.stringify(alerts);
    if (now === this.shown) return;
    this.shown = now;
    this.root.hidden = !alerts.length;
    this.root.open = alerts.length <= FEW;
    this.summary.textContent = alerts.length === 1 ? "1 alert" : `${alerts.length} alerts`;
    this.list.replaceChildren(...alerts.map(item));
  }

  /** Brings those into sight that stand beside one check. */
  reveal(column) {
    this.root.open = true;
    const found = [...this.list.querySelectorAll(`[data-column="${column}"]`)];
    for (const one of this.list.children) one.classList.toggle("chosen", found.includes(one));
    found[0]?.scrollIntoView({ block: "nearest" });
  }
}

function item({ kind, step, since, message, column }) {
  const when = since < step ? `steps ${since} to ${step}` : `step ${step}`;
  return element(
    "li",
    { "data-column": column },
    element("span", { class: "badge tone-alert" }, kind.toUpperCase()),
    element("span", { class: "quiet" }, when),
    element("span", {}, sentence(message)),
  );
}
