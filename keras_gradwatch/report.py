"""What a check found: frozen data, a table to read, JSON to keep."""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import dataclass

from keras_gradwatch.text import plain

PASS = "PASS"
FAIL = "FAIL"
INCONCLUSIVE = "INCONCLUSIVE"
UNUSED = "UNUSED"
EXPECTED = "EXPECTED"
VERDICTS = (FAIL, EXPECTED, INCONCLUSIVE, UNUSED, PASS)

FORMAT = 1
_WIDTH = 100
# What a name may take of a sentence.
_NAME = 60


@dataclass(frozen=True)
class Comparison:
    """One coordinate or one random direction, both slopes, and the word for it.

    Args:
        kind: `"coordinate"`, `"direction"`, or `"screen"` for a direction in which
            other variables were moved too. All that such a slope is off by is then
            held against this variable.
        index: Index of the entry, a tuple with one integer for each axis of the
            variable. None for a direction, which moves every entry.
        word: `"match"`, `"mismatch"`, `"kink"`, `"jump"`, `"noisy"`, `"zero"`
            or `"nonfinite"`.
        analytic: Slope that `tf.GradientTape` gives. None if it gave none.
        numerical: Centred difference. None if no loss nearby was finite.
        error_bar: How far `numerical` may be off.
        relative_error: `|a - n| / (|a| + |n|)`; along a direction, `|a|` is at
            least a tenth of the norm of the gradient.
        step: Step of the difference, in the units of the weights.
        among: How many variables were moved at once.
    """

    kind: str
    index: tuple[int, ...] | None
    word: str
    analytic: float | None
    numerical: float | None
    error_bar: float | None
    relative_error: float | None
    step: float | None
    among: int = 1


@dataclass(frozen=True)
class VariableReport:
    """What was found for one variable.

    Args:
        path: Path of the variable in the model, such as `"dense/kernel"`.
        target: Which of the losses of a `train_step` of several, by the name of
            the optimizer that its gradients reach. Empty for a single loss.
        shape: Its shape.
        verdict: `"PASS"`, `"FAIL"`, `"INCONCLUSIVE"`, `"UNUSED"` or
            `"EXPECTED"`.
        reason: Why, in a few words. Empty where PASS says it all.
        relative_error: `|a - n| / (|a| + |n|)`, norms over all that was
            compared. None if nothing was.
        error_bar: The part of it that errors of the differences may explain.
        resolution: The smallest relative error that could have been seen.
        coverage: Share of the entries that was compared, singly or along a
            direction, from 0 to 1.
        coordinates: A `Comparison` for each coordinate.
        directions: A `Comparison` for each random direction.
        training_error: `|g - a| / (|g| + |a|)` of the gradient `g` in the
            precision of training and the float64 one `a`, norms over the entries
            that are finite in both. None if there is nothing to compare.
        vanished: Share of the entries of `a` above round-off that are exactly
            zero in `g`.
        overflowed: Share of the entries of `a` that are NaN or infinite in `g`.
        applied: What the training step hands to the optimizer instead of the
            gradient, in words, such as `"0.5 times the gradient"`. Empty if it is
            the gradient itself.
        coverage_so_far: The same as `coverage`, of this check and all before it in
            the same fit. None in old reports.
        entries_so_far: How many entries were compared singly, in this check and all
            before it.
    """

    path: str
    target: str
    shape: tuple[int, ...]
    verdict: str
    reason: str
    relative_error: float | None
    error_bar: float | None
    resolution: float | None
    coverage: float
    coordinates: tuple[Comparison, ...]
    directions: tuple[Comparison, ...]
    training_error: float | None = None
    vanished: float | None = None
    overflowed: float | None = None
    applied: str = ""
    coverage_so_far: float | None = None
    entries_so_far: int | None = None

    @property
    def label(self) -> str:
        """The path, with the target where there are several."""
        return f"{self.path} ({self.target})" if self.target else self.path


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
        return f"{line}, worst relative error {_number(self.worst_relative_error)}"

    def _part(self):
        used, there = self.examples or (0, 0)
        return f", on {used} of {there} examples" if used < there else ""

    def __str__(self) -> str:
        table = _table(self.variables, self.training_dtype)
        return "\n".join([self.headline, *table, *self._remarks()])

    def _remarks(self):
        for v in self.failures:
            yield f"{plain(v.label, _NAME)}: {plain(v.reason)}"
        for note in self.notes:
            yield f"Note: {plain(note)}"

    def _repr_html_(self) -> str:
        """The table of a notebook."""
        from keras_gradwatch.notebook import to_html

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
        from keras_gradwatch.plot import plot

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


def _table(variables, training_dtype):
    if not variables:
        return
    rows = sorted(variables, key=lambda v: VERDICTS.index(v.verdict))
    # How far training, in its own precision, is from the exact gradient.
    training = f"in {training_dtype}" if training_dtype else ""
    room = _WIDTH - 45 - 13
    paths = [_shorten(v.label, room) for v in rows]
    width = max(len("variable"), *map(len, paths))
    header = f"{'verdict':<12}  {'variable':<{width}}  {'rel. error':>10}  "
    yield f"{header}{'compared':>8}  {training:>11}".rstrip()
    for v, path in zip(rows, paths, strict=True):
        line = (
            f"{v.verdict:<12}  {path:<{width}}  "
            f"{_number(v.relative_error):>10}  {v.coverage:>8.0%}"
        )
        yield f"{line}  {_number(v.training_error):>11}" if training else line
        if v.reason and v.verdict != FAIL:
            yield f"{'':<12}  {_shorten(v.reason, _WIDTH - 14)}"


def _shorten(text, room):
    text = plain(text)
    return text if len(text) <= room else f"{text[: room - 1]}\u2026"


def _number(value):
    return "-" if value is None else f"{value:.1e}"
