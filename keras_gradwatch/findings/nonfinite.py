"""What was found out about a NaN or an infinity: frozen data, and its text."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_gradwatch.findings import encoding, html
from keras_gradwatch.findings.alert import Alert
from keras_gradwatch.findings.place import Line
from keras_gradwatch.findings.text import listed

# How many entries are pointed at: as many as fit on a line.
_FIRST = 5

# Where it arose.
DATA, WEIGHT, FORWARD, LOSS = "data", "weight", "forward", "loss"
BACKWARD, STEP, UPDATE, UNKNOWN = "backward", "step", "update", "unknown"


@dataclass(frozen=True)
class Entries:
    """The entries of an array that are not finite.

    Args:
        shape: Of the array.
        nan: How many are NaN.
        positive: How many are plus infinity.
        negative: How many are minus infinity.
        first: Indices of the first few.
    """

    shape: tuple[int, ...]
    nan: int
    positive: int
    negative: int
    first: tuple[tuple[int, ...], ...]

    @property
    def count(self) -> int:
        """How many are not finite."""
        return self.nan + self.positive + self.negative

    @classmethod
    def of(cls, array: Any) -> Entries:
        """Counts them in an array."""
        array = np.asarray(array).astype(np.float64)
        where = np.argwhere(~np.isfinite(array))[:_FIRST]
        return cls(
            shape=array.shape,
            nan=int(np.isnan(array).sum()),
            positive=int(np.isposinf(array).sum()),
            negative=int(np.isneginf(array).sum()),
            first=tuple(tuple(int(i) for i in index) for index in where),
        )

    def __str__(self) -> str:
        kinds = {"nan": self.nan, "inf": self.positive, "-inf": self.negative}
        kinds = {name: count for name, count in kinds.items() if count}
        if not self.shape:
            return next(iter(kinds), "finite")
        size = int(np.prod(self.shape))
        if len(kinds) == 1:
            ((name, count),) = kinds.items()
            text = f"{count} of {size} {'is' if count == 1 else 'are'} {name}"
        else:
            parts = ", ".join(f"{count} {name}" for name, count in kinds.items())
            text = f"{self.count} of {size} ({parts})"
        if self.count == size:
            return text
        at = ", ".join(str(list(index)) for index in self.first)
        return f"{text}, at {at}{', ...' if self.count > len(self.first) else ''}"


@dataclass(frozen=True)
class Extent:
    """How large the finite entries of an array are.

    Args:
        name: What it is, or the path of a weight.
        shape: Of the array.
        low: Smallest.
        high: Largest.
        mean: Their mean.
        bad: How many others there are.
    """

    name: str
    shape: tuple[int, ...]
    low: float
    high: float
    mean: float
    bad: int = 0

    @classmethod
    def of(cls, name: str, array: Any) -> Extent:
        """Measures an array."""
        array = np.asarray(array).astype(np.float64)
        good = array[np.isfinite(array)]
        low, high, mean = (
            (float(good.min()), float(good.max()), float(good.mean()))
            if good.size
            else (0.0, 0.0, 0.0)
        )
        return cls(name, array.shape, low, high, mean, int(array.size - good.size))

    @property
    def row(self) -> tuple[str, ...]:
        """What a table has of it besides the name."""
        sizes = (f"{size:.4g}" for size in (self.low, self.high, self.mean))
        return (str(self.shape), *sizes, str(self.bad))

    def __str__(self) -> str:
        text = f"{self.name} {self.shape}: from {self.low:.4g} to {self.high:.4g}, "
        text += f"mean {self.mean:.4g}"
        return f"{text}, {self.bad} not finite" if self.bad else text


@dataclass(frozen=True)
class NonFinite:
    """Where the first NaN or infinity of a training came from.

    Args:
        step: Optimizer iterations done before the step in which it arose.
        seen: What was noticed, such as `"the loss is nan"`.
        kind: Where it arose: `"data"`, `"weight"` (it was in a weight before the
            step), `"forward"`, `"loss"`, `"backward"`, `"step"` (the code of the
            training step between the gradient and the optimizer), `"update"` (the
            optimizer), or `"unknown"`.
        place: Path of the layer, name of the loss, path of the weight, or the part
            of the data that is to blame; empty if it is not known.
        where: The same in words.
        operation: The operation of TensorFlow in which it arose, such as `"Log"` or
            `"gradient of Sqrt"`; empty if that is not known.
        line: The line of the user's code where that stands, a `Line`; None if it
            stands in none.
        entries: Which entries are not finite there, None if that is not known.
        examples: Which examples of the batch are to blame, by their index; None if
            it is the batch as a whole, or is not known.
        example_note: How that is known, or why not.
        variables: Paths of weights whose gradients are not finite, the first in
            the backward pass first.
        inputs: What went in there.
        weights: The weights there, just before.
        loss: The loss of that step, in the replay.
        history: Pairs of a step and the loss that was logged, up to this step.
        batch_size: How many examples the batch has, None if it is not known.
        notes: What else a reader should know.
        replayed: Whether the replay of the step showed it too.
        saved: Directory with the batch and the weights, empty if not saved.
        left_out: Whether the step was undone and training went on without its batch.
        outcome: What became of the step in words, if it was to be undone.
    """

    step: int
    seen: str
    kind: str
    place: str = ""
    where: str = ""
    operation: str = ""
    line: Line | None = None
    entries: Entries | None = None
    examples: tuple[int, ...] | None = None
    example_note: str = ""
    variables: tuple[str, ...] = ()
    inputs: tuple[Extent, ...] = ()
    weights: tuple[Extent, ...] = ()
    loss: float | None = None
    history: tuple[tuple[int, float], ...] = ()
    batch_size: int | None = None
    notes: tuple[str, ...] = ()
    replayed: bool = True
    saved: str = ""
    left_out: bool = False
    outcome: str = ""

    @property
    def headline(self) -> str:
        """One line: what, and where from."""
        return f"Not finite at step {self.step}: {self._what()}"

    @property
    def alert(self) -> Alert:
        """The same in short, for TensorBoard."""
        more = f"Batch and weights are in {self.saved}." if self.saved else ""
        message = " ".join(filter(None, [self._what(), self.example_note, more]))
        where = (self.place,) if self.place else ()
        return Alert(
            "nonfinite", self.step, where, message, since=self.step, line=self.line
        )

    def _what(self) -> str:
        where = self.where or "where it came from could not be found out"
        outcome = f" {self.outcome}." if self.outcome else ""
        return f"{self.seen}. {_capital(where)}{self._code()}.{outcome}"

    def _code(self) -> str:
        """The operation and its line."""
        if not self.operation:
            return ""
        article = "the " if self.operation.startswith("gradient") else ""
        line = "" if self.line is None else f", {self.line}"
        return f": {article}{self.operation}{line}"

    @property
    def details(self) -> str:
        """The lines below the headline. Empty if nothing else is known."""
        return "\n".join(self._lines())

    def __str__(self) -> str:
        return "\n".join([self.headline, *self._lines()])

    def _lines(self) -> list[str]:
        lines = self._first_lines()
        if self.inputs:
            lines.append(f"What went in: {'; '.join(map(str, self.inputs))}.")
        if self.weights:
            lines.append(f"Weights there: {'; '.join(map(str, self.weights))}.")
        return lines + self._last_lines()

    def _first_lines(self) -> list[str]:
        lines = []
        if self.entries is not None and self.entries.shape:
            lines.append(f"Entries that are not finite there: {self.entries}.")
        if self.example_note:
            lines.append(self.example_note)
        return lines

    def _last_lines(self) -> list[str]:
        lines = []
        if self.variables:
            lines.append(
                "Gradients that are not finite, first in the backward pass first: "
                f"{listed(self.variables)}."
            )
        if self.history:
            readings = ", ".join(f"{loss:.4g} (step {k})" for k, loss in self.history)
            lines.append(f"Loss as logged: {readings}.")
        lines += self.notes
        if self.saved:
            lines.append(
                f"Batch and weights are in {self.saved}; `kgw.load_failure` reads them."
            )
        return lines

    def _repr_html_(self) -> str:
        """The table of a notebook: what went in where it arose, and the weights."""
        met = [("went in", e) for e in self.inputs]
        met += [("weight", e) for e in self.weights]
        columns = ("", "what", "shape", "lowest", "highest", "mean", "not finite")
        rows = [(text, html.name(e.name), *map(html.text, e.row)) for text, e in met]
        return html.page(
            f"<b>{html.text(self.headline)}</b>",
            self._first_lines(),
            columns,
            rows,
            self._last_lines(),
        )

    def _overview_html_(self) -> dict[str, str]:
        """A row of a table of findings: HTML by the name of its column."""
        return {
            "where": html.text(self.where or self.place),
            "step": html.text(self.step),
            "seen": html.text(self.seen),
            "entries": html.text(self.entries or ""),
            "examples": html.text(self.example_note),
            "saved": html.text(self.saved),
        }

    def to_json(self) -> str:
        """The finding as JSON, numbers that are not finite as strings."""
        return json.dumps(encoding.encode(self), indent=1)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
