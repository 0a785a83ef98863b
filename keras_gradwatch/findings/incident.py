"""An incident: an alert, and what all callbacks of the training knew of it."""

from __future__ import annotations

import json
from dataclasses import dataclass

from keras_gradwatch.findings import encoding, html, sentences
from keras_gradwatch.findings.alert import INCIDENT, Alert
from keras_gradwatch.findings.clues import Checked, Norms, Seen, Unknown
from keras_gradwatch.findings.text import listed

FORMAT = 1


@dataclass(frozen=True, eq=False)
class Incident:
    """One story of several callbacks: what gave the alarm, and what else is known.

    Args:
        step: Optimizer iterations done when it was told; of the alert, if no look was
            taken since.
        seen: What gave the alarm, the first first: a `Seen` for each kind of alert.
        check_before: What the last check before it found, a `Checked`. None if there
            was none in this training.
        check: What a check found that was made for it. None if none was made.
        norms: What became of the norms of gradients, a `Norms`; None if no reading of
            them was made since.
        unknown: What is not known, and why.
        epoch: The epoch that it was told in, the first is 0. None if nobody told.
    """

    step: int
    seen: tuple[Seen, ...]
    check_before: Checked | None = None
    check: Checked | None = None
    norms: Norms | None = None
    unknown: tuple[Unknown, ...] = ()
    epoch: int | None = None

    @property
    def since(self) -> int:
        """Optimizer iterations done when it was first seen."""
        return min(one.since for one in self.seen)

    @property
    def sentence(self) -> str:
        """All of it in one sentence."""
        return sentences.about_incident(
            self.seen, self.check_before, self.check, self.norms, self.unknown
        )

    @property
    def alert(self) -> Alert:
        """The same in short, for TensorBoard."""
        where, text = self.seen[0].where, self.sentence
        return Alert(INCIDENT, self.step, where, text, self.since, epoch=self.epoch)

    def __str__(self) -> str:
        return str(self.alert)

    def _repr_html_(self) -> str:
        """A sentence for a notebook."""
        return html.page(f"<b>{html.text(self.alert.title)}</b>", [self.sentence])

    def _overview_html_(self) -> dict[str, str]:
        """A row of a table of incidents: HTML by the name of its column."""
        return {
            "seen": html.text(listed([one.kind for one in self.seen])),
            "where": html.name(listed(self.seen[0].where)),
            "step": html.text(self.step),
            "since": html.text(self.since),
            "what is known": html.text(self.sentence),
        }

    def __eq__(self, other) -> bool:
        if not isinstance(other, Incident):
            return NotImplemented
        # As it is stored, where NaN equals NaN.
        return encoding.encode(self) == encoding.encode(other)

    def __hash__(self) -> int:
        return hash(json.dumps(encoding.encode(self)))

    def to_json(self) -> str:
        """The incident as JSON; under `"in_words"` it has the sentence."""
        return encoding.write(
            {**encoding.encode(self), "in_words": self.sentence}, FORMAT
        )

    @classmethod
    def from_json(cls, text: str | bytes) -> Incident:
        """Gets an incident back from `to_json()`.

        Raises:
            ValueError: If `text` is not an incident of a known format.
        """
        _, fields = encoding.read(text, "an incident", (FORMAT,))
        fields.pop("in_words", None)
        return encoding.decode(cls, fields)
