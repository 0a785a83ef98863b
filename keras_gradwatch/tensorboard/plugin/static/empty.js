// What stands where there is nothing to show yet.

import { element } from "./dom.js";

const ADVICE = "model.fit(x, y, callbacks=[kgw.GradientCheck(log_dir=\"logs\")])";

/** The page before anything was found. */
export function emptyState() {
  return element(
    "div",
    { class: "empty", hidden: true },
    element("h2", {}, "No gradient check yet"),
    element("p", {}, "A check appears here once it has run while a model trains:"),
    element("code", {}, ADVICE),
    element("p", { class: "quiet" }, "The first one comes after 100 steps of training, unless warmup_steps says otherwise."),
  );
}
