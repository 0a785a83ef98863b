// The table of runs: the worst first, to choose one from.

import { badge, element, visible } from "./dom.js";
import { plural } from "./figures.js";
import { parted, partedName } from "./names.js";
import { STATES } from "./words.js";

// With fewer there is nothing to search for.
const MANY = 6;

export class Runs {
  /** `onChoose(run)` is called with the name of a run. */
  constructor(onChoose) {
    this.onChoose = onChoose;
    this.runs = [];
    this.chosen = null;
    this.drawn = "";
    this.text = element("input", { type: "search", placeholder: "Filter runs", "aria-label": "Filter runs", oninput: () => this.draw() });
    this.count = element("p", { class: "count", role: "status" });
    this.body = element("tbody", {});
    this.root = element(
      "nav",
      { class: "runs", "aria-label": "Runs", hidden: true, onkeydown: (event) => this.key(event) },
      element("div", { class: "runs-top" }, this.count, this.text),
      element("div", { class: "runs-list" }, element("table", {}, headings(), this.body)),
    );
  }

  /** Shows these runs, as the server sorts them. */
  show(runs, chosen) {
    this.runs = runs;
    this.chosen = chosen;
    this.root.hidden = runs.length < 2;
    this.text.hidden = runs.length < MANY;
    const names = runs.map((one) => shortName(one.run));
    const common = commonFolders(names);
    const pieces = parted(names.map((name) => name.slice(common) || name));
    this.pieces = new Map(runs.map(({ run }, k) => [run, pieces[k]]));
    this.draw();
  }

  draw() {
    const wanted = this.text.value.trim().toLowerCase();
    const shown = this.runs.filter((one) => `${one.run} ${one.state} ${one.title}`.toLowerCase().includes(wanted));
    const now = JSON.stringify([shown, this.chosen]);
    this.count.textContent = summary(this.runs, shown.length);
    if (now === this.drawn) return;
    this.drawn = now;
    const focused = this.body.contains(document.activeElement);
    this.body.replaceChildren(...shown.map((one) => this.row(one)));
    const current = this.body.querySelector('[aria-current="true"]');
    // One stop for the tabulator; from there the arrows lead on.
    const stop = current ?? this.body.querySelector(".run-button");
    if (stop) stop.tabIndex = 0;
    if (focused) current?.focus();
    // Within the list alone: the page stays where it is.
    if (current && this.scrolledTo !== this.chosen) {
      this.scrolledTo = this.chosen;
      const list = this.body.closest(".runs-list");
      const top = current.offsetTop - list.clientHeight / 2;
      if (current.offsetTop > list.scrollTop + list.clientHeight - 40) list.scrollTop = top;
    }
  }

  row(one) {
    const { run, state, since, alerts, checks } = one;
    const lost = one.damaged + one.broken ? `${plural(one.damaged + one.broken, "damaged event")} · ` : "";
    const title = `${lost}${one.title}`;
    const { sign, tone } = STATES[state] ?? STATES.NOTHING;
    const current = run === this.chosen;
    return element(
      "tr",
      { class: current ? "run current" : "run", onclick: () => this.onChoose(run) },
      element("td", { class: "run-state" }, badge(state, sign, tone)),
      element(
        "td",
        { class: "run-name" },
        element(
          "div",
          { class: "run-cell" },
          element(
            "button",
            { type: "button", class: "run-button", tabindex: -1, "aria-current": String(current), "aria-label": `${state}, ${visible(run)}` },
            partedName(this.pieces.get(run), run),
          ),
          element("span", { class: "run-title", title: visible(title) }, element("bdi", {}, visible(title))),
        ),
      ),
      element("td", { class: "run-since" }, since === null ? "–" : String(since)),
      element("td", { class: "run-counts" }, [checks && plural(checks, "check"), alerts && plural(alerts, "alert")].filter(Boolean).join(", ") || "–"),
    );
  }

  /** Up and down go from run to run. */
  key(event) {
    const by = { ArrowUp: -1, ArrowDown: 1 }[event.key];
    if (!by || !event.target.matches(".run-button, input")) return;
    event.preventDefault();
    const buttons = [...this.body.querySelectorAll(".run-button")];
    buttons[Math.max(0, Math.min(buttons.length - 1, buttons.indexOf(event.target) + by))]?.focus();
  }
}

/** The name of the run that the callbacks write to says nothing, where there is another. */
export function shortName(run) {
  return run.replace(/\/gradwatch$/, "") || run || ".";
}

/** How many characters of the folders that all names begin with. */
function commonFolders(names) {
  const [first, ...others] = names.map((name) => name.split("/").slice(0, -1));
  let same = 0;
  while (same < (first?.length ?? 0) && others.every((parts) => parts[same] === first[same])) same += 1;
  return others.length && same ? first.slice(0, same).join("/").length + 1 : 0;
}

/** Such as "20 runs: 1 FAIL, 2 alerts, 17 right". */
export function summary(runs, shown = runs.length) {
  const parts = Object.entries(STATES).flatMap(([state, { noun }]) => {
    const count = runs.filter((one) => one.state === state).length;
    return count ? [`${count} ${noun[count === 1 ? 0 : 1]}`] : [];
  });
  const some = shown === runs.length ? "" : `${shown} of `;
  return `${some}${plural(runs.length, "run")}: ${parts.join(", ")}`;
}

function headings() {
  const heads = [["State", ""], ["Run", ""], ["Step", "run-since"], ["Events", "run-counts"]];
  return element("thead", {}, element("tr", {}, ...heads.map(([text, name]) => element("th", { scope: "col", class: name }, text))));
}
