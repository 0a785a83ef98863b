"""The batch that the next training step is about to take."""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from keras_gradwatch.callbacks import standing_iterator


def show_next_batch(model: keras.Model, look: Callable) -> None:
    """Shows the next batch to `look`, before the model trains on it.

    `fit` and `train_on_batch` look their training function up on the model at
    each step. For one call they find ours, which draws the batches of that
    call, shows the first, and hands them all on. The own function of the model
    is back in its place before anything else runs.

    Args:
        model: A model that is about to take a training step.
        look: A bound method, called with what the step will be handed, or with
            None if the data is at its end. It is not kept alive.
    """
    _stand_in(model).add(look)


def watch_next_call(model: keras.Model, look: Callable, then: Callable) -> None:
    """Lets a watcher look before and after the next call of the training function.

    As `show_next_batch`, for those who look at what came of it, too.

    Args:
        model: A model that is about to take a training step.
        look: A bound method, called before with a list of what the steps of the
            call will be handed; empty if the data is at its end.
        then: A bound method, called after with what the function returned. Not
            called if there was no batch.
    """
    _stand_in(model).add(look, then)


def _stand_in(model):
    present = model.train_function
    if not (isinstance(present, _NextBatch) and present.is_of(model)):
        present = model.train_function = _NextBatch(model)
    return present


def take_back(model: keras.Model, look: Callable) -> None:
    """Takes back what `show_next_batch` did, if no step has used it.

    So it is where another callback ended a fit between our hook and the step.
    """
    present = getattr(model, "train_function", None)
    if isinstance(present, _NextBatch):
        present.remove(look)


class _Watcher(NamedTuple):
    look: weakref.WeakMethod
    then: weakref.WeakMethod | None


class _NextBatch:
    """Stands in the place of a model's training function for one call.

    A fit that is aborted may leave it there. It then keeps nothing alive, does
    what the function does whose place it took, and goes with the last callback
    that it served.
    """

    def __init__(self, model):
        self._watchers: list[_Watcher] = []
        self._model = weakref.ref(model)
        self._fit = getattr(model, "history", None)
        self._original = model.train_function
        if isinstance(self._original, _NextBatch):  # of a fit that was aborted
            self._original = self._original._original

    def is_of(self, model) -> bool:
        """Whether it was put there for the present fit of this model."""
        present = getattr(model, "history", None)
        return self._model() is model and self._fit is present

    def add(self, look, then=None) -> None:
        """Lets `look` see the batch too, and `then` what came of it."""
        then = None if then is None else weakref.WeakMethod(then)
        self._watchers.append(_Watcher(weakref.WeakMethod(look, self._discard), then))

    def remove(self, look) -> None:
        """Does not let `look` see the batch."""
        for reference in [one.look for one in self._watchers if one.look() == look]:
            self._discard(reference)

    def _discard(self, reference):
        self._watchers = [one for one in self._watchers if one.look is not reference]
        if not self._watchers:
            self._leave()

    def _leave(self):
        """Puts the model's own function back."""
        model = self._model()
        if model is not None and model.train_function is self:
            model.train_function = self._original

    def __call__(self, iterator):
        model: Any = self._model()
        alive = ((one.look(), one.then and one.then()) for one in self._watchers)
        watchers: list[tuple[Any, Any]] = [one for one in alive if one[0] is not None]
        self._leave()
        train_function: Any = self._original
        if train_function is None:  # `train_on_batch` makes it at its first step
            model.make_train_function(force=True)
            train_function = model.train_function
        if not watchers or not self.is_of(model):
            return train_function(iterator)
        batches = list(itertools.islice(iterator, model.steps_per_execution))
        for look, then in watchers:
            if then is None:
                look(batches[0] if batches else None)
            else:
                look(batches)
        if not batches:
            return train_function(iterator)  # exhausted: let it say so itself
        logs = train_function(_again(model, iterator, batches))
        for _, then in watchers:
            if then is not None:
                then(logs)
        return logs


def _again(model, iterator, batches):
    """An iterator over drawn batches that is of the same type as their source."""
    if not isinstance(iterator, tf.data.Iterator):
        return iter(batches)
    return standing_iterator.standing(model, iterator, batches)
