// From numbers to pixels: axes that are linear or logarithmic, ticks, and curves.

/** A linear scale; `at(value)` gives the pixel. */
export function linear(low, high, from, to) {
  const width = high - low || 1;
  return { low, high, at: (value) => from + ((value - low) / width) * (to - from) };
}

/** A logarithmic one; what is smaller than its low end stands there. */
export function logarithmic(low, high, from, to) {
  const [a, b] = [Math.log10(low), Math.log10(high)];
  const inner = linear(a, b, from, to);
  return { low, high, at: (value) => inner.at(Math.max(a, Math.log10(Math.max(value, low)))) };
}

// Values that differ by more than so many times are drawn on a logarithmic axis.
const WIDE = 30;

/** A scale for these values, with two or three ticks; null if there are none. */
export function fitting(values, from, to) {
  const finite = values.filter(Number.isFinite);
  if (!finite.length) return null;
  const [low, high] = [finite.reduce((a, b) => Math.min(a, b)), finite.reduce((a, b) => Math.max(a, b))];
  if (low > 0 && high / low > WIDE) {
    const ends = [10 ** Math.floor(Math.log10(low) + 0.2), 10 ** Math.ceil(Math.log10(high) - 0.2)];
    const [bottom, top] = [Math.min(ends[0], low), Math.max(ends[1], high)];
    const scale = logarithmic(bottom, top, from, to);
    return { ...scale, ticks: decades(bottom, top, 3) };
  }
  const pad = (high - low || Math.abs(high) || 1) * 0.08;
  const bottom = low >= 0 && low < (high - low) / 2 ? 0 : low - pad;
  const scale = linear(bottom, high + pad, from, to);
  return { ...scale, ticks: round(bottom, high + pad, 3) };
}

/** Whole decades, few of them. */
export function decades(low, high, most) {
  const [first, last] = [Math.ceil(Math.log10(low) - 1e-9), Math.floor(Math.log10(high) + 1e-9)];
  const every = Math.max(1, Math.ceil((last - first + 1) / most));
  const found = [];
  for (let decade = first; decade <= last; decade += every) found.push(10 ** decade);
  return found;
}

/** Round numbers, at most so many. */
export function round(low, high, most) {
  const rough = (high - low) / most;
  const size = 10 ** Math.floor(Math.log10(rough || 1));
  const steps = [0.2, 0.5, 1, 2, 5, 10].map((k) => k * size);
  let at = steps.findIndex((step) => step >= rough);
  // Two at least: one alone is no axis.
  while (at > 0 && multiples(low, high, steps[at]).length < 2) at -= 1;
  return multiples(low, high, steps[Math.max(at, 0)]);
}

function multiples(low, high, step) {
  const found = [];
  for (let tick = Math.ceil(low / step) * step; tick <= high + step * 1e-9; tick += step) {
    found.push(Number(tick.toPrecision(12)));
  }
  return found;
}

/** A curve through points, interrupted where one is missing or not finite. */
export function curve(points) {
  let pen = "M";
  return points
    .map(([x, y]) => {
      if (!Number.isFinite(y)) {
        pen = "M";
        return "";
      }
      const part = `${pen}${x.toFixed(1)} ${y.toFixed(1)}`;
      pen = "L";
      return part;
    })
    .join("");
}
