"""An alert: something in the gradients or the loss that a user should look at."""

from __future__ import annotations

from dataclasses import dataclass

from keras_gradwatch.findings import encoding, html
from keras_gradwatch.findings.place import Line
from keras_gradwatch.findings.text import listed

FORMAT = 1
VANISHING, EXPLODING = "vanishing", "exploding"
DEAD, NONFINITE = "dead", "nonfinite"
SATURATED, STILL, SCALE = "saturated", "still", "scale"
SPIKE, DIVERGING, STALLED = "spike", "diverging", "stalled"
OSCILLATING, FLAT, OVERFITTING = "oscillating", "flat", "overfitting"
RULE, INCIDENT = "rule", "incident"
# What each kind is about, to begin a sentence with.
_TITLES = {
    VANISHING: "Vanishing gradients",
    EXPLODING: "Exploding gradients",
    DEAD: "Dead gradients",
    NONFINITE: "Not finite",
    SATURATED: "Saturated activations",
    STILL: "Weights that do not move",
    SCALE: "Scale of layers",
    SPIKE: "Loss spike",
    DIVERGING: "Diverging loss",
    STALLED: "Stalled loss",
    OSCILLATING: "Oscillating loss",
    FLAT: "Loss that does not fall",
    OVERFITTING: "Overfitting",
    RULE: "Rule",
    INCIDENT: "Incident",
}
KINDS = tuple(_TITLES)


def title(kind: str) -> str:
    """What alerts of a kind are about, to begin a sentence with.

    Args:
        kind: One of `KINDS`.
    """
    return _TITLES[kind]


@dataclass(frozen=True)
class Alert:
    """What a callback noticed.

    Args:
        kind: Of gradients `"vanishing"`, `"exploding"`, `"dead"` or `"nonfinite"`, of
            layers `"saturated"` or `"scale"`, of steps `"still"`, of
            the loss `"spike"`, `"diverging"`, `"stalled"`, `"oscillating"`, `"flat"` or
            `"overfitting"`; `"rule"` if a rule of the user's own gave it; `"incident"`
            if it is what several callbacks know of another alert.
        step: Optimizer iterations done when it was given.
        where: Paths of the layers or variables, the worst first; names of losses or
            rules.
        message: What was seen, what it may come from, and what to do.
        since: Optimizer iterations done when it was first seen.
        value: The worst figure, None if there is none.
        threshold: What that figure was held against, None if there is none.
        epoch: The epoch that it was given in, the first is 0. None if nobody told.
        line: The line of the user's code to look at, None if that is not known.
        before: What the worst figure was before, None if that is not known.
    """

    kind: str
    step: int
    where: tuple[str, ...]
    message: str
    since: int
    value: float | None = None
    threshold: float | None = None
    epoch: int | None = None
    line: Line | None = None
    before: float | None = None

    def __post_init__(self) -> None:
        # It may come from a damaged file.
        if not (
            self.kind in KINDS
            and isinstance(self.message, str)
            and all(isinstance(name, str) for name in self.where)
            and all(isinstance(n, int) for n in (self.step, self.since))
        ):
            raise ValueError(f"Expected an alert. Received: {self!r:.80}")

    @property
    def title(self) -> str:
        """What it is about, to begin a sentence with."""
        return title(self.kind)

    def __str__(self) -> str:
        return f"{self.title} at step {self.step}: {self.message}"

    def _repr_html_(self) -> str:
        """A table of one row, for a notebook."""
        row = self._overview_html_()
        return html.page(html.text(self.title), (), list(row), [list(row.values())])

    def _overview_html_(self) -> dict[str, str]:
        """A row of a table of alerts: HTML by the name of its column."""
        return {
            "alert": f"<b>{html.text(self.title)}</b>",
            "where": html.name(listed(self.where)),
            "step": html.text(self.step),
            "since": html.text(self.since),
            "what was seen": html.text(self.message),
        }

    def to_json(self) -> str:
        """The alert as JSON."""
        return encoding.write(encoding.encode(self), FORMAT)

    @classmethod
    def from_json(cls, text: str | bytes) -> Alert:
        """Gets an alert back from `to_json()`.

        Raises:
            ValueError: If `text` is not an alert of a known format.
        """
        _, fields = encoding.read(text, "an alert", (FORMAT,))
        return encoding.decode(cls, fields)
