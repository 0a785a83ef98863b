// The verdicts of checks and the states of runs: words, signs, meanings.

export const VERDICTS = {
  F: { word: "FAIL", sign: "✕", meaning: "the gradient is wrong" },
  P: { word: "PASS", sign: "✓", meaning: "the gradient is right" },
  I: { word: "INCONCLUSIVE", sign: "?", meaning: "it could not be told" },
  E: { word: "EXPECTED", sign: "≠", meaning: "a mismatch that is meant" },
  B: { word: "BLOCKED", sign: "⊘", meaning: "no gradient gets through: it never learns" },
  U: { word: "UNUSED", sign: "–", meaning: "the loss does not depend on it" },
  Z: { word: "ZERO", sign: "0", meaning: "the gradient is truly zero" },
};

const UNKNOWN = { word: "not checked", sign: "", meaning: "not part of this check" };

// The worst first, as the server sorts them.
export const STATES = {
  FAIL: { sign: "✕", tone: "tone-fail", noun: ["FAIL", "FAIL"] },
  NaN: { sign: "∞", tone: "tone-nan", noun: ["NaN", "NaN"] },
  ALERT: { sign: "▲", tone: "tone-alert", noun: ["alert", "alerts"] },
  WARNING: { sign: "!", tone: "tone-alert", noun: ["warning", "warnings"] },
  INCONCLUSIVE: { sign: "?", tone: "tone-inconclusive", noun: ["not told", "not told"] },
  PASS: { sign: "✓", tone: "tone-pass", noun: ["right", "right"] },
  NOTHING: { sign: "–", tone: "tone-unused", noun: ["empty", "empty"] },
};

/** What there is to say of a cell. */
export function verdictOf(letter) {
  return VERDICTS[letter] ?? UNKNOWN;
}

/** The class that colours a verdict, by its letter or its word. */
export function tone(verdict) {
  return `tone-${find(verdict).word.toLowerCase().replace(" ", "-")}`;
}

/** The sign of a verdict, by its letter or its word. */
export function sign(verdict) {
  return find(verdict).sign;
}

function find(verdict) {
  const known = Object.values(VERDICTS).find(({ word }) => word === verdict);
  return known ?? verdictOf(verdict);
}

/** How large a relative error is: 1, 2 or 3, for a shade. */
export function level(error) {
  if (typeof error !== "number" || error >= 0.1) return 3;
  return error >= 0.01 ? 2 : 1;
}
