// The whole of the tab: which run, check and variable are open, and what is asked for.

import * as address from "./address.js";
import { checkPage } from "./check.js";
import { detail, detailProblem } from "./detail.js";
import { element } from "./dom.js";
import { emptyState } from "./empty.js";
import { moment } from "./figures.js";
import { Findings } from "./findings.js";
import { Grid } from "./grid.js";
import { ask } from "./host.js";
import { Runs, shortName } from "./runs.js";
import { Timeline } from "./timeline.js";
import { Tools } from "./tools.js";

// Milliseconds until the next question while TensorBoard is still reading.
const PATIENCE = 2000;

const NAMES = new Intl.Collator("en", { numeric: true });

export class Tab {
  constructor() {
    // What is open: a run, a check as a whole or a variable in one. In the address, too.
    this.place = address.read();
    this.runs = [];
    this.run = null;
    this.data = null;
    this.timer = null;
    // Answers may overtake one another; only the newest question counts.
    this.asked = 0;
    this.build();
    address.onChange(() => this.follow());
    document.addEventListener("keydown", (event) => this.key(event));
  }

  build() {
    const onCheck = (check) => this.openCheck(check);
    this.table = new Runs((run) => this.choose(run));
    this.findings = new Findings({
      onCheck,
      onCell: (check, variable) => this.openCell(check, variable, { focus: true }),
      onAlert: (position) => this.showAlert(position),
    });
    this.timeline = new Timeline({
      onCheck: (column) => this.openCheck(this.data.checks[column]),
      onAlert: (position) => this.findings.reveal(position),
    });
    this.grid = new Grid({
      onSelect: (row, column) => this.openCell(this.data.checks[column], row.key),
      onCheck: (column) => this.openCheck(this.data.checks[column]),
      onAlert: (position) => this.findings.reveal(position),
      onEnter: () => this.details.querySelector("h2")?.focus(),
    });
    this.tools = new Tools({
      onFilter: () => this.filter(),
      onFailure: () => this.showFirstFailure(),
      onNewest: () => this.grid.scrollTo(this.data.steps.length - 1),
    });
    this.problem = element("p", { class: "problem", role: "alert", hidden: true });
    this.lost = element("p", { class: "lost", hidden: true });
    this.title = element("p", { class: "run-heading", hidden: true });
    this.details = element("div", { class: "details card", hidden: true, "aria-live": "polite" });
    this.check = element("div", { class: "check", hidden: true });
    this.gridCard = element("section", { class: "card grid-card", "aria-label": "Grid" }, this.tools.root, this.grid.root, this.tools.legend);
    this.work = element("div", { class: "work" }, this.gridCard, this.details);
    this.story = element("div", { class: "story", hidden: true }, this.title, this.lost, this.findings.root, this.timeline.root, this.work);
    this.empty = emptyState();
    this.main = element("div", { class: "main" }, this.problem, this.story, this.check, this.empty);
    this.root = element("main", {}, this.table.root, this.main);
  }

  /** Asks for everything anew; what is open stays open. */
  async reload() {
    clearTimeout(this.timer);
    const asked = ++this.asked;
    const isStale = () => asked !== this.asked;
    try {
      const runs = inOrder(await ask("runs"));
      if (isStale()) return;
      this.showRuns(runs);
      const data = this.run === null ? null : await ask("grid", { run: this.run });
      if (isStale()) return;
      this.showRun(data);
      this.tell("");
    } catch (error) {
      if (!isStale()) this.tell(`No news from TensorBoard: ${error.message}`);
    }
  }

  showRuns(runs) {
    // TensorBoard may still be reading: ask on until two answers agree.
    if (JSON.stringify(runs) !== JSON.stringify(this.runs)) {
      this.timer = setTimeout(() => this.reload(), PATIENCE);
    }
    this.runs = runs;
    const isThere = (name) => runs.some(({ run }) => run === name);
    // The worst, unless another is asked for or open.
    const next = [this.place.run, this.run].find(isThere) ?? runs[0]?.run ?? null;
    if (next !== this.run) this.forget();
    this.run = next;
    this.empty.hidden = runs.length > 0;
    this.table.show(runs, this.run);
    this.root.classList.toggle("several", runs.length > 1);
  }

  showRun(data) {
    this.data = data;
    this.story.hidden = !data || !this.check.hidden;
    if (!data) return;
    this.title.textContent = shortName(this.run);
    this.title.hidden = false;
    this.showLost(data);
    this.findings.show(data, (step) => this.when(step));
    this.timeline.show(data);
    const hasChecks = data.checks.length > 0;
    this.work.hidden = !hasChecks;
    if (hasChecks) this.filter();
    this.openPlace();
  }

  /** A step with its epoch, as checks and alerts know it. */
  when(step) {
    const { steps, epochs, alerts, timeline } = this.data;
    const point = timeline.points.find((one) => one[1] === step);
    const column = steps.indexOf(step);
    const epoch = epochs[column] ?? alerts.find((one) => one.step === step)?.epoch ?? point?.[2];
    return moment(step, epoch);
  }

  showLost({ damaged, broken }) {
    const parts = [];
    if (damaged) parts.push(`${damaged} damaged event${damaged > 1 ? "s" : ""} left out.`);
    if (broken) parts.push("Its file is broken: python -m keras_gradwatch may read more of it.");
    this.lost.textContent = parts.join(" ");
    this.lost.hidden = !parts.length;
  }

  filter() {
    if (!this.data) return;
    this.grid.show(this.data, (one) => this.tools.shows(one));
    this.tools.tell(this.data, this.grid.overflows());
  }

  showFirstFailure() {
    const column = this.data.verdicts.indexOf("F");
    this.grid.scrollTo(column);
    this.grid.revealFailure(column);
  }

  showAlert(position) {
    this.timeline.choose(null, position);
    this.timeline.root.scrollIntoView({ block: "nearest" });
  }

  async choose(run) {
    if (run === this.run) return;
    this.go({ run, check: null, variable: null, page: null });
    this.forget();
    this.run = run;
    this.table.show(this.runs, run);
    await this.reload();
  }

  /** What is open of another run must not stand below the name of this one. */
  forget() {
    this.grid.forget();
    this.data = null;
    this.story.hidden = true;
    this.opened = null;
    this.hideDetails();
    this.check.hidden = true;
    this.main.scrollTop = 0;
  }

  /** Opens a check as a whole. */
  openCheck(check) {
    this.remember();
    this.go({ run: this.run, check, variable: null, page: "check" });
    this.openPlace({ focus: true });
  }

  /** Opens one variable in one check. */
  openCell(check, variable, options) {
    this.remember();
    this.go({ run: this.run, check, variable, page: null });
    this.openPlace(options);
  }

  /** Where the keys are to go back to: to what opened the first of what is open. */
  remember() {
    if (!this.place.check) this.opener = document.activeElement;
  }

  go(place) {
    this.place = place;
    address.write(place);
  }

  /** Shows what `place` says, if that is not shown yet. */
  async openPlace({ focus = false } = {}) {
    const { run, check, variable, page } = this.place;
    const isHere = this.data && (run === this.run || run === null);
    const opened = isHere ? JSON.stringify([check, variable, page]) : null;
    if (!isHere || opened === this.opened) return;
    this.opened = opened;
    const isPage = Boolean(page && check);
    this.check.hidden = !isPage;
    this.story.hidden = isPage;
    this.grid.select(variable && !isPage ? { variable, check } : null);
    this.timeline.choose(check ? this.data.checks.indexOf(check) : null);
    if (!variable) this.hideDetails();
    if (isPage) await this.showCheck(opened, focus);
    else if (check && variable) await this.showDetails(opened, focus);
  }

  async showCheck(opened, focus) {
    const { check, variable } = this.place;
    let page;
    try {
      const found = await ask("check", { run: this.run, check });
      page = checkPage(found, {
        run: shortName(this.run),
        onBack: () => this.close(),
        onVariable: (key) => this.openCell(check, key, { focus: true }),
      });
    } catch (error) {
      page = detailProblem(error.message, () => this.close());
    }
    if (opened !== this.opened) return;
    this.check.replaceChildren(page);
    this.main.scrollTop = 0;
    if (focus && !variable) page.querySelector("h2")?.focus({ preventScroll: true });
  }

  async showDetails(opened, focus) {
    const { check, variable } = this.place;
    const onClose = () => this.close();
    let panel;
    try {
      const found = await ask("check", { run: this.run, check, variable });
      panel = detail(found, { onClose, onCheck: () => this.openCheck(check) });
    } catch (error) {
      panel = detailProblem(error.message, onClose);
    }
    if (opened !== this.opened) return;
    this.details.replaceChildren(panel);
    this.details.hidden = false;
    this.grid.revealSelected();
    this.details.scrollIntoView({ block: "nearest" });
    if (focus) panel.querySelector("h2")?.focus({ preventScroll: true });
  }

  hideDetails() {
    this.details.hidden = true;
    this.details.replaceChildren();
  }

  /** Goes back to the run; the keys go back to where they were, or to the grid. */
  close() {
    this.go({ run: this.place.run, check: null, variable: null, page: null });
    this.openPlace();
    const isThere = this.story.contains(this.opener) && this.opener.checkVisibility();
    (isThere ? this.opener : this.grid.root).focus();
  }

  /** Somebody followed a link, or went back. */
  follow() {
    const place = address.read();
    if (JSON.stringify(place) === JSON.stringify(this.place)) return;
    const isOther = place.run && place.run !== this.run;
    this.place = place;
    if (isOther) this.reload();
    else this.openPlace();
  }

  key(event) {
    if (event.key !== "Escape" || !this.place.check) return;
    event.preventDefault();
    this.close();
  }

  tell(problem) {
    this.problem.textContent = problem;
    this.problem.hidden = !problem;
  }
}

/** The server sorts by state; of one state, by the names, numbers as such. */
function inOrder(runs) {
  const states = [...new Set(runs.map(({ state }) => state))];
  return runs.sort((a, b) => states.indexOf(a.state) - states.indexOf(b.state) || NAMES.compare(a.run, b.run));
}
