"""What a check found: frozen data, a table to read, JSON to keep."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, replace

from keras_gradwatch.findings import causes, html, sentences
from keras_gradwatch.findings.earlier_reports import upgraded
from keras_gradwatch.findings.encoding import decode, encode, read, write
from keras_gradwatch.findings.figure import draw
from keras_gradwatch.findings.notes import LIMIT, SEVERE, Look, Note, Refusal
from keras_gradwatch.findings.place import Place
from keras_gradwatch.findings.table import html_table, number, table
from keras_gradwatch.findings.text import counted, listed, plain
from keras_gradwatch.findings.variable import Comparison, VariableReport
from keras_gradwatch.findings.verdicts import FAIL, INCONCLUSIVE, PASS, VERDICTS
from keras_gradwatch.findings.vocabulary import LOSS, SECOND

FORMAT = 3
# What a name may take of a sentence.
_NAME = 60
# Reasons of variables that a headline gives: the table has them all.
_REASONS = 2


@dataclass(frozen=True, eq=False)
class GradientReport:
    """The answer of one gradient check.

    Args:
        verdict: FAIL if a variable fails; else PASS if each is PASS, ZERO, UNUSED or
            EXPECTED, and no loss was refused; else INCONCLUSIVE.
        cause: Why it is INCONCLUSIVE, a `causes.Cause`; None if it is not.
        step: Optimizer iterations done when the check ran.
        loss: The loss at the point that was checked, of the examples that were used;
            of several, the first.
        dtype: Precision of the losses that were differenced.
        tolerance: Largest relative error that counts as a match.
        seed: Seed of the draws.
        evaluations: How often the loss was evaluated.
        seconds: How long the check took.
        remarks: What else a reader should know, a `notes.Note` each.
        variables: A `VariableReport` for each trainable variable, in the order
            of the model.
        training_dtype: The lowest precision in which the model's layers compute
            while it trains. Empty if the training step was not looked at.
        examples: How many examples of the batch were used, and how many it has. In
            training, a large batch is checked on a part. None if its data have no
            common length, and in old reports.
        subject: What was differentiated: `"loss"`, or the `"output"` of a layer or
            function.
        switched_off: Layers that draw at random while training, and did nothing here.
        drawn_once: Layers that drew at random: once, for all losses of the check.
    """

    verdict: str
    cause: causes.Cause | None
    step: int
    loss: float | None
    dtype: str
    tolerance: float
    seed: int
    evaluations: int
    seconds: float
    remarks: tuple[Note, ...]
    variables: tuple[VariableReport, ...]
    training_dtype: str = ""
    examples: tuple[int, int] | None = None
    subject: str = LOSS
    switched_off: tuple[str, ...] = ()
    drawn_once: tuple[str, ...] = ()

    @property
    def reason(self) -> str:
        """What was not told, and why. Empty unless the verdict is INCONCLUSIVE."""
        first = sentences.because(self.cause, self.subject)
        reasons = [first, *self._more_reasons()]
        return " ".join(dict.fromkeys(filter(None, reasons)))

    def _more_reasons(self):
        match self.cause:
            case causes.NothingTold():
                yield from map(self._sentence, self._refusals())
                yield from (v.reason for v in self.variables)
            case causes.NotAllTold(blocked, untold):
                named = {*blocked, *untold}
                reasons = (v.reason for v in self.variables if v.label in named)
                yield from list(dict.fromkeys(reasons))[:_REASONS]
            case causes.OnlyFirstOrder(open_rows):
                yield from (self.variables[k].reason for k in open_rows)
                for note in self._refusals():
                    if note.target.endswith(SECOND):
                        yield self._sentence(note)

    @property
    def notes(self) -> tuple[str, ...]:
        """What else a reader should know, a sentence or a few each."""
        # Of a report without variables, the reason says what was refused.
        shown = [
            note
            for note in self.remarks
            if self.variables or not isinstance(note, Refusal)
        ]
        return tuple(dict.fromkeys(map(self._sentence, shown)))

    @property
    def places(self) -> tuple[Place, ...]:
        """The layers to look at first. Empty if that is not known."""
        looks = (note.places for note in self.remarks if isinstance(note, Look))
        return next(looks, ())

    def _refusals(self):
        return [note for note in self.remarks if isinstance(note, Refusal)]

    def _sentence(self, note):
        return sentences.note(note, self.subject)

    @property
    def severe(self) -> tuple[Note, ...]:
        """What keeps weights from learning though their gradients may be right."""
        return tuple(note for note in self.remarks if note.severity == SEVERE)

    @property
    def warning(self) -> str:
        """The first of `severe` in one sentence, and how many more there are."""
        told = [sentences.brief(note, self.subject) for note in self.severe]
        told = list(dict.fromkeys(told))
        if len(told) < 2:
            return "".join(told)
        return f"{told[0]} (And {counted(len(told) - 1, 'more warning')}.)"

    @property
    def passed(self) -> bool:
        """Whether the verdict is PASS, and nothing is severe."""
        return self.verdict == PASS and not self.severe

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
        first = f"{plain(self.warning, 4 * _NAME)} " if self.severe else ""
        where = f"Gradient check at step {self.step}: {first}{self.verdict}"
        if self.verdict == INCONCLUSIVE:
            return f"{where}. {self.reason}"
        if self.verdict == FAIL and self.places:
            where += f". Look at {plain(sentences.places(self.places), 4 * _NAME)}"
        counts = ", ".join(f"{self.count(v)} {v}" for v in VERDICTS if self.count(v))
        line = f"{where}. {counts} of {len(self.variables)} variables{self._part()}"
        worst = self.worst_relative_error
        if worst is not None or self.verdict == PASS:
            line += f", worst relative error {number(worst)}"
        if self.verdict == FAIL:
            names = [plain(v.label, _NAME) for v in self.failures]
            line += f". Wrong: {listed(names)}"
        if unseen := sum(note.severity == LIMIT for note in self.remarks):
            line += f". Not all was seen: {counted(unseen, 'note')}"
        return line

    def _part(self):
        used, there = self.examples or (0, 0)
        return f", on {used} of {there} examples" if used < there else ""

    @property
    def details(self) -> str:
        """The lines below the headline: the table, reasons and notes."""
        rows = table(self.variables, self.training_dtype)
        return "\n".join([*rows, *self._lines()])

    def __str__(self) -> str:
        return "\n".join(filter(None, [self.headline, self.details]))

    def _lines(self):
        for v in self.failures:
            yield f"{plain(v.label, _NAME)}: {plain(v.reason)}"
        for note in self.notes:
            yield f"Note: {plain(note)}"
        yield from self._layers()

    def _layers(self):
        for what, layers in (
            ("Switched off in the check", self.switched_off),
            ("Drawn once for all of the check", self.drawn_once),
        ):
            if layers:
                yield f"{what}: {listed([plain(name, _NAME) for name in layers])}"

    def _repr_html_(self) -> str:
        """The table of a notebook: where to look, then what the console has."""
        where = [note for note in self.remarks if isinstance(note, Look)]
        above = list(dict.fromkeys(map(self._sentence, where)))
        below = [note for note in self.notes if note not in above]
        return html.page(
            f"{html.badge(self.verdict)} {html.text(self.headline)}",
            above,
            *html_table(self.variables, self.training_dtype),
            [*below, *self._layers()],
        )

    def _overview_html_(self) -> dict[str, str]:
        """A row of a table of reports: HTML by the name of its column."""
        return {
            "verdict": html.badge(self.verdict),
            "look at": html.text(sentences.places(self.places)),
            "step": html.text(self.step),
            "wrong": html.text(f"{len(self.failures)} of {len(self.variables)}"),
            "worst rel. error": html.text(number(self.worst_relative_error)),
            "besides": html.text(self.warning or self.reason),
        }

    def plot(self, path: str | os.PathLike[str]) -> None:
        """Draws the relative error of each comparison, with error bars, into a file.

        The tolerance is a band; what stands outside is wrong, unless a kink or noise
        explains it.

        Args:
            path: Name of the file; its end says which kind of picture, such as
                `"report.png"`.

        Raises:
            MissingPackageError: If matplotlib is not installed.
            InvalidArgumentError: If matplotlib can't write this kind of file.
        """
        draw(self.headline, self.variables, self.tolerance, path)

    def __eq__(self, other) -> bool:
        if not isinstance(other, GradientReport):
            return NotImplemented
        # As it is stored, where NaN equals NaN.
        return encode(self) == encode(other)

    def __hash__(self) -> int:
        return hash(json.dumps(encode(self)))

    def to_json(self) -> str:
        """The whole report as standard JSON; NaN and infinity become strings.

        Under `"in_words"` it has the sentences, for those who read it without this
        package.
        """
        return write({**encode(self), "in_words": self._in_words()}, FORMAT)

    def _in_words(self):
        return {
            "headline": self.headline,
            "reason": self.reason,
            "notes": self.notes,
            "variables": {v.label: v.reason for v in self.variables if v.reason},
        }

    @classmethod
    def from_json(cls, text: str | bytes) -> GradientReport:
        """Gets a report back from `to_json()`.

        Raises:
            ValueError: If `text` is not a report of a known format.
        """
        version, data = read(text, "a gradient report", (FORMAT, 2, 1))
        if version != FORMAT:
            data = upgraded(data, version)
        data.pop("in_words", None)
        report = decode(cls, {**data, "variables": []})
        variables = tuple(map(_variable, data["variables"]))
        return replace(report, variables=variables)


def _variable(data):
    comparisons = {
        name: tuple(decode(Comparison, c) for c in data[name])
        for name in ("coordinates", "directions")
    }
    found = decode(VariableReport, {**data, "coordinates": [], "directions": []})
    return replace(found, **comparisons)
