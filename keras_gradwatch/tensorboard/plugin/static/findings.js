// What there is to say of a run: the worst finding at large, the others below it.

import { badge, button, element, name, sentence } from "./dom.js";
import { moment, plural } from "./figures.js";
import { STATES } from "./words.js";

// So many of the others are listed at first.
const FEW = 3;

export class Findings {
  /**
   * `onCheck(check)` and `onCell(check, variable)` are called by the buttons that lead on,
   * `onAlert(position)` by those of alerts.
   */
  constructor({ onCheck, onCell, onAlert }) {
    this.on = { onCheck, onCell, onAlert };
    this.drawn = "";
    this.all = false;
    this.root = element("section", { class: "findings", "aria-label": "Findings" });
  }

  /** Shows those of a run, the worst first; `when` tells by a step what to call it. */
  show({ findings, alerts }, when) {
    const now = JSON.stringify(findings);
    if (now === this.drawn) return;
    this.drawn = now;
    this.found = findings;
    this.alerts = alerts;
    this.when = when;
    this.draw();
  }

  draw() {
    const [worst, ...others] = this.found;
    const shown = this.all ? others : others.slice(0, FEW);
    const left = others.length - shown.length;
    this.root.replaceChildren(
      worst ? this.large(worst) : element("p", { class: "quiet" }, "No check can be read."),
      ...shown.map((one) => this.small(one)),
      left > 0 ? button(`${plural(left, "more finding")}`, () => this.showAll(), { class: "action more" }) : "",
    );
  }

  /** Brings an alert into sight, opened. */
  reveal(position) {
    if (!this.all) this.showAll();
    const found = this.root.querySelector(`[data-alert="${position}"]`);
    if (!found) return;
    for (const one of this.root.querySelectorAll(".lit")) one.classList.remove("lit");
    found.classList.add("lit");
    for (let one = found; one !== this.root; one = one.parentElement) if (one.tagName === "DETAILS") one.open = true;
    found.scrollIntoView({ block: "nearest" });
    (found.querySelector("summary") ?? found).focus?.({ preventScroll: true });
  }

  showAll() {
    this.all = true;
    this.draw();
  }

  large(one) {
    const { sign, tone } = STATES[one.state] ?? STATES.NOTHING;
    return element(
      "article",
      { class: `finding large ${tone}`, "data-alert": one.alerts[0] },
      element(
        "div",
        { class: "finding-head" },
        badge(one.state, sign, tone),
        element("h2", { class: "title" }, sentence(one.title)),
        element("span", { class: "since" }, this.since(one)),
      ),
      element("div", { class: "finding-row" }, code(one.lines), element("p", { class: "text" }, sentence(one.text))),
      advice(one.advice),
      this.again(one),
      this.actions(one),
    );
  }

  small(one) {
    const { sign, tone } = STATES[one.state] ?? STATES.NOTHING;
    return element(
      "details",
      { class: `finding small ${tone}`, "data-alert": one.alerts[0] },
      element(
        "summary",
        { class: "finding-head" },
        badge(one.state, sign, tone),
        element("span", { class: "title" }, sentence(one.title)),
        element("span", { class: "since" }, this.since(one)),
      ),
      code(one.lines),
      element("p", { class: "text" }, sentence(one.text)),
      this.again(one),
      this.actions(one),
    );
  }

  /** Other alerts of the same kind. */
  again({ alerts }) {
    const [, ...others] = alerts;
    if (!others.length) return null;
    const lines = others.map((position) => {
      const { step, epoch, message } = this.alerts[position];
      return element("li", { "data-alert": position }, element("strong", {}, `${moment(step, epoch)}: `), sentence(message));
    });
    return element("details", { class: "again" }, element("summary", {}, `${others.length} more of this kind`), element("ul", {}, ...lines));
  }

  since({ state, since, step }) {
    if (state === "PASS" || state === "INCONCLUSIVE") return `at ${this.when(step)}`;
    if (since === step) return `at ${this.when(step)}`;
    return `since ${this.when(since)}`;
  }

  actions({ check, variable, labels, alerts }) {
    const { onCheck, onCell, onAlert } = this.on;
    const found = [];
    if (variable) {
      found.push(button(element("span", {}, "Figures of ", name(end(labels[0]), labels[0])), () => onCell(check, variable), { class: "action first" }));
    }
    if (check) found.push(button("The whole check", () => onCheck(check)));
    if (alerts.length) found.push(button("On the timeline", () => onAlert(alerts[0])));
    return element("div", { class: "actions" }, ...found);
  }
}

/** The end of a path says which it is. */
function end(label) {
  return label.length > 40 ? `…${label.slice(-39)}` : label;
}

function code(lines) {
  if (!lines.length) return null;
  return element(
    "p",
    { class: "places" },
    ...lines.map(({ words, file }) => element("code", { class: "line", title: file }, name(words, file))),
  );
}

function advice(sentences) {
  if (!sentences.length) return null;
  return element("div", { class: "advice" }, element("h3", {}, "What to do"), ...sentences.map((text) => element("p", {}, sentence(text))));
}
