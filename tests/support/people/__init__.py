"""Small versions of programs that people write, each with room for a fault.

A program is a function `(rng, middle) -> Program`: `middle` is a layer to put somewhere
inside, which does nothing, or hands back a wrong gradient.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras

PROGRAMS: dict[str, Callable] = {}


@dataclass(frozen=True)
class Program:
    """A compiled model with data to train it on.

    Args:
        model: The model.
        x: What `fit` takes.
        y: What else it takes, if anything.
        expected: Of the check: where a gradient is another one on purpose.
        batch_size: Of the training.
    """

    model: keras.Model
    x: Any
    y: Any = None
    expected: tuple[str, ...] = ()
    batch_size: int = 8

    def fit(self, steps: int, callbacks: list) -> None:
        count = steps * self.batch_size
        given = [self.x] if self.y is None else [self.x, self.y]
        self.model.fit(
            *keras.tree.map_structure(lambda array: array[:count], given),
            batch_size=self.batch_size,
            shuffle=False,
            verbose=0,
            callbacks=callbacks,
        )


def program(build):
    PROGRAMS[build.__name__] = build
    return build


def functional(inputs, outputs, *arguments, kind=keras.Model, **options):
    """A compiled functional model."""
    model = kind(inputs, outputs)
    model.compile(*arguments, jit_compile=False, **options)
    return model
