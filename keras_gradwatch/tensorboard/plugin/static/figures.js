// Numbers, steps and times, as a person would write them.

/** A number with few digits. */
export function figure(value, digits = 4) {
  if (value === null || value === undefined) return "–";
  if (typeof value === "string") return value;
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1e-3 && size < 1e5) return String(Number(value.toPrecision(digits)));
  return Number(value.toPrecision(digits)).toExponential().replace("e+", "e");
}

/** A share as a percentage that is 0 % or 100 % only where it is exactly that. */
export function percentage(share) {
  if (share === null || share === undefined) return "–";
  if (share > 0 && share < 0.001) return "< 0.1 %";
  if (share < 1 && share > 0.999) return "> 99.9 %";
  return `${Number((100 * share).toFixed(1))} %`;
}

/** A relative error as a percentage of two digits, however small. */
export function errorPercentage(error) {
  if (error === null || error === undefined) return "–";
  if (typeof error === "string") return error;
  if (error === 0) return "0 %";
  const percent = 100 * error;
  if (percent < 1e-3) return `${percent.toExponential(0)} %`;
  return `${Number(percent.toPrecision(2))} %`;
}

/** A count with its noun. */
export function plural(count, noun) {
  return `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;
}

/** A step, with the epoch where that is known; people count them from 1. */
export function moment(step, epoch) {
  const known = epoch !== null && epoch !== undefined;
  return known ? `step ${step}, epoch ${epoch + 1}` : `step ${step}`;
}

// Made once: to make it takes longer than to use it a hundred times.
const CLOCK = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });

/** A time of the day, with the date, by seconds since 1970. */
export function clock(wall) {
  if (!wall) return "";
  return CLOCK.format(new Date(1000 * wall));
}

/** A step in little room. */
export function shortStep(step) {
  if (step < 1e5) return String(step);
  return step < 1e6 ? `${Math.floor(step / 1e3)}k` : `${(step / 1e6).toFixed(1)}M`;
}
