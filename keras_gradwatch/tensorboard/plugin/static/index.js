// The tab "Gradient check": headlines, the grid of one run, details on a click.

import { detail, detailProblem } from "./detail.js";
import { element, name, sentence } from "./dom.js";
import { Alerts } from "./alerts.js";
import { Grid } from "./grid.js";
import { ask, followTheme, onReload } from "./host.js";
import { VERDICTS, tone } from "./words.js";

// Milliseconds until the next question while TensorBoard is still reading.
const PATIENCE = 2000;
const ADVICE = "model.fit(x, y, callbacks=[kgw.GradientCheck(log_dir=\"logs\")])";

/** TensorBoard calls this once the module is loaded. */
export async function render() {
  const sheet = element("link", { rel: "stylesheet", href: new URL("style.css", import.meta.url) });
  document.head.append(sheet);
  document.title = "Gradient check";
  followTheme();
  const tab = new Tab();
  document.body.append(tab.root);
  onReload(() => tab.reload());
  await tab.reload();
}

class Tab {
  constructor() {
    this.runs = [];
    this.timer = null;
    this.run = null;
    this.data = null;
    this.selected = null;
    // Answers may overtake one another; only the newest question counts.
    this.asked = 0;
    this.grid = new Grid((row, column) => this.open(row, column), (column) => this.alerts.reveal(column));
    this.alerts = new Alerts();
    this.headlines = element("div", { class: "runs", role: "radiogroup", "aria-label": "Runs" });
    this.problem = element("p", { class: "problem", role: "alert", hidden: true });
    this.buildTools();
    this.details = element("div", { class: "details", hidden: true, "aria-live": "polite" });
    this.empty = emptyState();
    this.work = element("div", { class: "work", hidden: true }, this.tools, this.grid.root, this.details);
    this.root = element("main", {}, this.problem, this.headlines, this.alerts.root, this.work, this.empty);
  }

  buildTools() {
    const changed = () => this.filter();
    this.text = element("input", { type: "search", placeholder: "Filter variables", "aria-label": "Filter variables", oninput: changed });
    this.failures = element("input", { type: "checkbox", onchange: changed });
    this.count = element("span", { class: "quiet", role: "status" });
    this.toFailure = jump("First failure", () => this.showFirstFailure());
    this.toNewest = jump("Newest", () => this.grid.scrollTo(this.data.steps.length - 1));
    this.tools = element(
      "div",
      { class: "tools" },
      this.text,
      element("label", {}, this.failures, "Failures only"),
      this.count,
      this.toFailure,
      this.toNewest,
      legend(),
    );
  }

  /** Asks for everything anew; what is open stays open. */
  async reload() {
    clearTimeout(this.timer);
    const asked = ++this.asked;
    const isStale = () => asked !== this.asked;
    try {
      const runs = await ask("runs");
      if (isStale()) return;
      this.showRuns(runs);
      const hasAny = runs.some(({ run, checks, alerts }) => run === this.run && (checks || alerts));
      const data = hasAny ? await ask("grid", { run: this.run }) : null;
      if (isStale()) return;
      this.showGrid(data);
      this.tell("");
    } catch (error) {
      if (!isStale()) this.tell(`No news from TensorBoard: ${error.message}`);
    }
  }

  async choose(run) {
    this.run = run;
    // The grid of another run must not stand below this headline.
    this.work.hidden = true;
    this.alerts.show([]);
    this.grid.forget();
    this.close();
    this.showHeadlines();
    this.headlines.querySelector('[aria-checked="true"]').focus();
    await this.reload();
  }

  showRuns(runs) {
    // TensorBoard may still be reading: ask on until two answers agree.
    if (JSON.stringify(runs) !== JSON.stringify(this.runs)) {
      this.timer = setTimeout(() => this.reload(), PATIENCE);
    }
    this.runs = runs;
    if (!runs.some(({ run }) => run === this.run)) this.run = firstToShow(runs);
    this.empty.hidden = runs.length > 0;
    this.showHeadlines();
  }

  showGrid(data) {
    this.alerts.show(data?.alerts ?? []);
    this.data = data?.checks.length ? data : null;
    this.work.hidden = !this.data;
    this.filter();
  }

  showHeadlines() {
    this.headlines.replaceChildren(...this.runs.map((run) => this.headline(run)));
    this.headlines.classList.toggle("several", this.runs.length > 1);
  }

  headline({ run, verdict, sentence: finding, alerts, damaged, broken }) {
    const chosen = run === this.run;
    const warned = alerts ? plural(alerts, "alert") : "";
    const lost = damaged ? `${damaged} damaged event${damaged > 1 ? "s" : ""} left out` : "";
    const more = broken ? "its file is broken: python -m keras_gradwatch may read more of it" : "";
    return element(
      "button",
      { type: "button", role: "radio", class: "headline", "aria-checked": String(chosen), onclick: () => this.choose(run) },
      element("span", { class: `badge ${verdict || !alerts ? tone(verdict) : "tone-alert"}` }, verdict || (alerts ? "ALERT" : "NOTHING")),
      element("span", { class: "sentence" }, sentence(finding)),
      element("span", { class: "quiet" }, name(run || "."), ...[warned, lost, more].filter(Boolean).map((text) => `, ${text}`)),
    );
  }

  filter() {
    if (!this.data) return;
    const wanted = this.text.value.trim().toLowerCase();
    const shown = ({ label, cells }) =>
      label.toLowerCase().includes(wanted) && (!this.failures.checked || cells.includes("F"));
    const { variables, steps } = this.data;
    this.grid.show(this.data, shown);
    const left = variables.filter(shown).length;
    const some = left === variables.length ? "" : `${left} of `;
    this.count.textContent = `${some}${plural(variables.length, "variable")}, ${plural(steps.length, "check")}`;
    this.toNewest.hidden = !this.grid.overflows();
    this.toFailure.hidden = this.toNewest.hidden || !this.data.verdicts.includes("F");
  }

  showFirstFailure() {
    const column = this.data.verdicts.indexOf("F");
    this.grid.scrollTo(column);
    this.grid.revealFailure(column);
  }

  async open(row, column) {
    const check = this.data.checks[column];
    this.selected = { variable: row.key, check };
    this.grid.select(this.selected);
    const mine = this.selected;
    let panel;
    try {
      panel = detail(await ask("check", { run: this.run, ...mine }), () => this.close());
    } catch (error) {
      panel = detailProblem(error.message, () => this.close());
    }
    if (mine !== this.selected) return;
    this.details.replaceChildren(panel);
    this.details.hidden = false;
    this.grid.revealSelected();
  }

  close() {
    this.selected = null;
    this.details.hidden = true;
    this.details.replaceChildren();
    this.grid.select(null);
  }

  tell(problem) {
    this.problem.textContent = problem;
    this.problem.hidden = !problem;
  }
}

/** A failing run, if there is one. */
function firstToShow(runs) {
  const failing = runs.find(({ verdict }) => verdict === "FAIL");
  return (failing ?? runs[0])?.run ?? null;
}

function plural(count, noun) {
  return `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;
}

function jump(text, onclick) {
  return element("button", { type: "button", class: "jump", hidden: true, onclick }, text);
}

function legend() {
  const items = Object.values(VERDICTS).map(({ word, sign, meaning }) =>
    element(
      "span",
      { title: meaning },
      element("span", { class: `swatch ${tone(word)}` }, sign),
      sign === word ? "" : word,
    ),
  );
  return element("div", { class: "legend" }, ...items);
}

function emptyState() {
  return element(
    "div",
    { class: "empty", hidden: true },
    element("h2", {}, "No gradient check yet"),
    element("p", {}, "A check appears here once it has run while a model trains:"),
    element("code", {}, ADVICE),
    element("p", { class: "quiet" }, "The first one comes after 100 steps of training, unless warmup_steps says otherwise."),
  );
}
