// The verdicts: a letter from the server, a word, and a sign for a small cell.

export const VERDICTS = {
  F: { word: "FAIL", sign: "FAIL", meaning: "the gradient is wrong" },
  P: { word: "PASS", sign: "✓", meaning: "the gradient is right" },
  I: { word: "INCONCLUSIVE", sign: "?", meaning: "it could not be told" },
  E: { word: "EXPECTED", sign: "≠", meaning: "a mismatch that is meant" },
  B: { word: "BLOCKED", sign: "⊘", meaning: "no gradient gets through: it never learns" },
  U: { word: "UNUSED", sign: "–", meaning: "the loss does not depend on it" },
  Z: { word: "ZERO", sign: "0", meaning: "the gradient is truly zero" },
};

const UNKNOWN = { word: "not checked", sign: "", meaning: "not part of this check" };

/** What there is to say of a cell. */
export function verdictOf(letter) {
  return VERDICTS[letter] ?? UNKNOWN;
}

/** The class that colours a verdict, by its letter or its word. */
export function tone(verdict) {
  const known = Object.values(VERDICTS).find(({ word }) => word === verdict);
  return `tone-${(known ?? verdictOf(verdict)).word.toLowerCase().replace(" ", "-")}`;
}
