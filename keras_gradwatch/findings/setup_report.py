"""What was found about a set-up before it trains: an answer to each question."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, ClassVar

from keras_gradwatch.findings import html
from keras_gradwatch.findings.encoding import decode, encode, read, write
from keras_gradwatch.findings.observation import (
    LOOK,
    NOT_TOLD,
    RIGHT,
    STATES,
    WRONG,
    Answer,
)
from keras_gradwatch.findings.sentences.setups import QUESTIONS, evidence, remedy
from keras_gradwatch.findings.text import counted, listed, plain
from keras_gradwatch.findings.verdicts import EXPECTED, FAIL, INCONCLUSIVE, PASS

FORMAT = 1
# The page of the docs that says more of each question.
PAGE = "docs/check-setup.md"
_ROOM = 400
_COLOURS = {RIGHT: PASS, WRONG: FAIL, LOOK: INCONCLUSIVE, NOT_TOLD: INCONCLUSIVE}


@dataclass(frozen=True, eq=False)
class SetupReport:
    """The answers of `check_setup`, one for each question.

    Args:
        inputs: Are the inputs of a sane scale, type and variety?
        targets: Are the targets, and is each compared with the output of its example?
        outputs: Do the outputs and the loss agree (logits, classes, shapes)?
        first_loss: How does the loss compare with that of a guess?
        examples: Do the outputs of an example depend on that example alone?
        average: Is the loss an average over the examples?
        weights: Does each weight get a gradient, and does Keras know it?
        overfit: Can a few examples be learned by heart?
        examples_used: How many examples were looked at.
        seconds: How long the check took.
        expected: Names of the questions whose answer the user expects, whatever it is.
    """

    inputs: Answer
    targets: Answer
    outputs: Answer
    first_loss: Answer
    examples: Answer
    average: Answer
    weights: Answer
    overfit: Answer
    examples_used: int
    seconds: float
    expected: tuple[str, ...] = ()

    NAMES: ClassVar[tuple[str, ...]] = tuple(QUESTIONS)

    @property
    def answers(self) -> dict[str, Answer]:
        """The answers by the names of their questions, in their order."""
        return {name: getattr(self, name) for name in self.NAMES}

    def names_of(self, state: str) -> tuple[str, ...]:
        """The questions whose answer has a state, without those that are expected.

        Args:
            state: `"right"`, `"wrong"`, `"worth a look"` or `"not told"`.
        """
        return tuple(
            name
            for name, answer in self.answers.items()
            if answer.state == state and name not in self.expected
        )

    @property
    def verdict(self) -> str:
        """FAIL if anything is wrong; PASS if all is right or expected; INCONCLUSIVE."""
        if self.names_of(WRONG):
            return FAIL
        is_open = self.names_of(LOOK) or self.names_of(NOT_TOLD)
        return INCONCLUSIVE if is_open else PASS

    @property
    def passed(self) -> bool:
        """Whether the verdict is PASS."""
        return self.verdict == PASS

    @property
    def headline(self) -> str:
        """The finding in one line."""
        counts = [
            f"{state}: {listed(self.names_of(state), len(self.NAMES))}"
            for state in STATES
            if state != RIGHT and self.names_of(state)
        ]
        if self.expected:
            counts.append(f"expected: {listed(self.expected, len(self.NAMES))}")
        told = "; ".join(counts) if counts else "all is right"
        used = f"{counted(self.examples_used, 'example')}, {self.seconds:.1f} s"
        return f"Set-up: {self.verdict}. {told[:1].upper()}{told[1:]} ({used})."

    def _state(self, name):
        return EXPECTED if name in self.expected else getattr(self, name).state

    def __str__(self) -> str:
        lines = [self.headline]
        for name, answer in self.answers.items():
            said = plain(evidence(answer), _ROOM)
            lines.append(f"{self._state(name):<12}  {name:<10}  {said}")
            if advice := self._advice(name):
                lines.append(f"{'':<26}{advice}")
        return "\n".join(lines)

    def _advice(self, name):
        """What to do, and where to read on; empty if nothing is to be done."""
        told = remedy(getattr(self, name))
        if not told or name in self.expected:
            return ""
        return f"{told} ({PAGE}#{name})"

    def _repr_html_(self) -> str:
        """The table of a notebook."""
        rows = [
            [
                self._badge(name),
                html.text(QUESTIONS[name]),
                html.text(evidence(answer)),
                html.text(self._advice(name)),
            ]
            for name, answer in self.answers.items()
        ]
        top = f"{html.badge(self.verdict)} {html.text(self.headline)}"
        return html.page(top, (), ("", "question", "evidence", "what to do"), rows)

    def _badge(self, name):
        state = self._state(name)
        return html.badge(_COLOURS.get(state, state), state)

    def __eq__(self, other) -> bool:
        if not isinstance(other, SetupReport):
            return NotImplemented
        return encode(self) == encode(other)

    def __hash__(self) -> int:
        return hash(json.dumps(encode(self)))

    def to_json(self) -> str:
        """The report as standard JSON; NaN and infinity become strings.

        Under `"in_words"` it has the sentences.
        """
        words: dict[str, Any] = {
            name: {"evidence": evidence(answer), "remedy": self._advice(name)}
            for name, answer in self.answers.items()
        }
        words["headline"] = self.headline
        return write({**encode(self), "in_words": words}, FORMAT)

    @classmethod
    def from_json(cls, text: str | bytes) -> SetupReport:
        """Gets a report back from `to_json()`.

        Raises:
            ValueError: If `text` is not a report of a known format.
        """
        _, data = read(text, "a report of a set-up", (FORMAT,))
        data.pop("in_words", None)
        return decode(cls, data)
