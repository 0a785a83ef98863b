"""One point of a training as it went: what a timeline is drawn from."""

from __future__ import annotations

from dataclasses import dataclass

from keras_gradwatch.findings import encoding

FORMAT = 1


@dataclass(frozen=True)
class Moment:
    """What a callback knew of a training when it looked.

    Args:
        step: Optimizer iterations done then.
        epoch: The epoch, the first is 0. None where nobody told, as in a loop of the
            user's own.
        loss: The loss; of several, their sum. None if it was not read.
        norm: Norm over the gradients of all variables. None if it was not read.
    """

    step: int
    epoch: int | None = None
    loss: float | None = None
    norm: float | None = None

    def to_json(self) -> str:
        """The moment as JSON."""
        return encoding.write(encoding.encode(self), FORMAT)

    @classmethod
    def from_json(cls, text: str | bytes) -> Moment:
        """Gets a moment back from `to_json()`.

        Raises:
            ValueError: If `text` is not a moment of a known format.
        """
        _, fields = encoding.read(text, "a moment", (FORMAT,))
        return encoding.decode(cls, fields)
