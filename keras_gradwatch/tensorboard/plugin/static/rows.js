// The rows of the grid: alerts, all variables as one, then layer by layer.

import { parted } from "./names.js";

/** All rows that are shown; `shown(variable)` tells which variables are. */
export function layOut(data, shown) {
  const rows = [{ kind: "all", name: "all variables", title: "all variables", cells: data.verdicts }];
  if (data.alerts.length) rows.unshift({ kind: "alerts", name: "alerts", title: "alerts", cells: "", found: alertsByColumn(data) });
  const layers = new Map();
  const counts = new Map();
  for (const { layer } of data.variables) counts.set(layer, (counts.get(layer) ?? 0) + 1);
  for (const variable of data.variables.filter(shown)) {
    if (!layers.has(variable.layer)) layers.set(variable.layer, []);
    layers.get(variable.layer).push(variable);
  }
  const alone = [...counts.keys()].filter((layer) => layer && counts.get(layer) === 1);
  const pieces = parted(alone.map((layer) => `${layer}/`));
  const above = new Map(alone.map((layer, k) => [layer, pieces[k]]));
  const withWeights = new Map(data.blamed.filter(({ layer }) => layer !== null).map((one) => [one.layer, one]));
  const weightless = data.blamed.filter(({ layer }) => layer === null);
  for (const [layer, variables] of layers) {
    const blamed = withWeights.get(layer);
    // One variable needs no heading, but where its layer is to blame that is marked.
    const isAlone = layer && counts.get(layer) === 1 && !blamed;
    if (layer && !isAlone) rows.push({ kind: "layer", name: layer, title: layer, cells: blamed?.cells ?? "", blamed });
    for (const variable of variables) rows.push({ ...variable, kind: "variable", title: variable.label, above: isAlone ? above.get(layer) : null });
    // A layer without weights that is to blame stands behind the last one that is wrong.
    const keys = new Set(variables.map(({ key }) => key));
    for (const one of weightless) if (keys.has(one.after)) rows.push(guilty(one));
  }
  const placed = new Set(rows.map(({ place }) => place));
  for (const one of weightless) if (!placed.has(one) && !data.variables.length) rows.push(guilty(one));
  return rows;
}

function guilty(place) {
  return { kind: "place", name: place.words, title: place.title, cells: place.cells, place };
}

function alertsByColumn(data) {
  const found = new Map();
  data.alerts.forEach((alert, position) => {
    found.set(alert.column, [...(found.get(alert.column) ?? []), { ...alert, position }]);
  });
  return found;
}
