"""What a check found: frozen data, a table to read, JSON to keep."""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import dataclass

from keras_gradwatch.findings.table import figure, table
from keras_gradwatch.findings.text import plain
from keras_gradwatch.findings.variable import Comparison, VariableReport
from keras_gradwatch.findings.verdicts import FAIL, INCONCLUSIVE, PASS, VERDICTS

FORMAT = 1
# What a name may take of a sentence.
_NAME = 60


@dataclass(frozen=True, eq=False)
class GradientReport:
    """The answer of one gradient check.

    Args:
        verdict: FAIL if a variable fails; else PASS if a variable was compared
            and is right; else INCONCLUSIVE.
        reason: Why nothing was compared, if nothing was. Empty otherwise.
        step: Optimizer iterations done when the check ran.
        loss: The loss at the point that was checked, of the examples that were used;
            of several, the first.
        dtype: Precision of the losses that were differenced.
        tolerance: Largest relative error that counts as a match.
        seed: Seed of the draws.
        evaluations: How often the loss was evaluated.
        seconds: How long the check took.
        notes: What else a reader should know, a sentence each.
        variables: A `VariableReport` for each trainable variable, in the order
            of the model.
        training_dtype: The lowest precision in which the model's layers compute
            while it trains. Empty if the training step was not looked at.
        examples: How many examples of the batch were used, and how many it has. In
            training, a large batch is checked on a part. None if its data have no
            common length, and in old reports.
    """

    verdict: str
    reason: str
    step: int
    loss: float | None
    dtype: str
    tolerance: float
    seed: int
    evaluations: int
    seconds: float
    notes: tuple[str, ...]
    variables: tuple[VariableReport, ...]
    training_dtype: str = ""
    examples: tuple[int, int] | None = None

    @property
    def passed(self) -> bool:
        """Whether the verdict is PASS."""
        return self.verdict == PASS

    @property
    def failures(self) -> tuple[VariableReport, ...]:
        """The variables whose gradient is wrong."""
        return tuple(v for v in self.variables if v.verdict == FAIL)

    @property
    def worst_relative_error(self) -> float | None:
        """The largest relative error of a variable that PASS or FAIL names."""
        errors = [
            v.relative_error
            for v in self.variables
            if v.verdict in (PASS, FAIL) and v.relative_error is not None
        ]
        return max(errors, default=None)

    def count(self, verdict: str) -> int:
        """How many variables have a verdict."""
        return sum(v.verdict == verdict for v in self.variables)

    @property
    def headline(self) -> str:
        """The finding in one line."""
        where = f"Gradient check at step {self.step}: {self.verdict}"
        if self.verdict == INCONCLUSIVE:
            return f"{where}. {self.reason}"
        counts = ", ".join(f"{self.count(v)} {v}" for v in VERDICTS if self.count(v))
        line = f"{where}. {counts} of {len(self.variables)} variables{self._part()}"
        if self.verdict == FAIL:
            names = [plain(v.label, _NAME) for v in self.failures]
            shown = ", ".join(names[:3])
            more = f" and {len(names) - 3} more" if len(names) > 3 else ""
            return f"{line}. Wrong: {shown}{more}"
        return f"{line}, worst relative error {figure(self.worst_relative_error)}"

    def _part(self):
        used, there = self.examples or (0, 0)
        return f", on {used} of {there} examples" if used < there else ""

    def __str__(self) -> str:
        rows = table(self.variables, self.training_dtype)
        return "\n".join([self.headline, *rows, *self._remarks()])

    def _remarks(self):
        for v in self.failures:
            yield f"{plain(v.label, _NAME)}: {plain(v.reason)}"
        for note in self.notes:
            yield f"Note: {plain(note)}"

    def _repr_html_(self) -> str:
        """The table of a notebook."""
        from keras_gradwatch.findings.html import to_html

        return to_html(self)

    def plot(self, path) -> None:
        """Draws slopes against slopes, and the error of each variable, into a file.

        Args:
            path: Name of the file; its end says which kind of picture, such as
                `"report.png"`.

        Raises:
            MissingPackageError: If matplotlib is not installed.
            InvalidArgumentError: If matplotlib can't write this kind of file.
        """
        from keras_gradwatch.findings.figure import plot

        plot(self, path)

    def __eq__(self, other) -> bool:
        if not isinstance(other, GradientReport):
            return NotImplemented
        # As JSON, in which NaN equals NaN.
        return self.to_json() == other.to_json()

    def __hash__(self) -> int:
        return hash(self.to_json())

    def to_json(self) -> str:
        """The whole report as standard JSON; NaN and infinity become strings."""
        data = {"format": FORMAT, **dataclasses.asdict(self)}
        return json.dumps(_encode(data), allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> GradientReport:
        """Gets a report back from `to_json()`.

        Raises:
            ValueError: If `text` is not a report of a known format.
        """
        data = json.loads(text)
        if not isinstance(data, dict) or data.pop("format", None) != FORMAT:
            raise ValueError(
                f"Expected a gradient report of format {FORMAT}, as `to_json()` "
                f"writes it. Received: text={text[:80]!r}"
            )
        variables = []
        for v in data.pop("variables"):
            for name in ("coordinates", "directions"):
                v[name] = tuple(_comparison(c) for c in v[name])
            v["shape"] = tuple(v["shape"])
            variables.append(VariableReport(**_decode(v)))
        data["notes"] = tuple(data["notes"])
        if data.get("examples") is not None:
            data["examples"] = tuple(data["examples"])
        return cls(**_decode(data), variables=tuple(variables))


_FLOATS = {
    "loss",
    "analytic",
    "numerical",
    "error_bar",
    "relative_error",
    "resolution",
    "step",
    "training_error",
}


def _comparison(data):
    data["index"] = None if data["index"] is None else tuple(data["index"])
    return Comparison(**_decode(data))


def _encode(value):
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {k: _encode(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_encode(v) for v in value]
    return value


def _decode(data):
    return {
        k: float(v) if k in _FLOATS and isinstance(v, str) else v
        for k, v in data.items()
    }
