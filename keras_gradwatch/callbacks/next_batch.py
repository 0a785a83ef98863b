"""The batch that the next training step is about to take."""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from keras_gradwatch.callbacks import standing_iterator

# What `fit` hands to the training function; `train_on_batch` has a generator.
_OF_FIT = (tf.data.Iterator, tf.distribute.DistributedIterator)


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


@dataclass(frozen=True)
class Undone:
    """What a watcher returns if a call is to be as if it had not been.

    Args:
        instead: Called where there is no batch to go on with, with what the function
            returned last, None if nothing; returns what to return instead.
    """

    instead: Callable[[Any], Any]


def watch_next_call(model: keras.Model, look: Callable, then: Callable) -> None:
    """Lets a watcher look before and after the next call of the training function.

    As `show_next_batch`, for those who look at what came of it, too. If `then` returns
    `Undone`, the steps are taken again one by one, and for each that is undone as well
    the next batch of the data is taken. So is a batch that is bad by itself left out,
    and the call takes as many steps as if it had not been in the data.

    Args:
        model: A model that is about to take a training step.
        look: A bound method, called before with a list of what the steps of the
            call will be handed; empty if the data is at its end. It may return
            `Undone` then, if that end comes early for what was left out before.
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
        if not batches:
            undone = _looked([], watchers)
            if undone is not None:
                return undone.instead(None)
            return train_function(iterator)  # exhausted: let it say so itself
        step = _Step(model, iterator, train_function, watchers)
        logs, undone = step.taken(batches)
        if undone is None or not isinstance(iterator, _OF_FIT):
            return logs  # of `train_on_batch` there is no other batch
        return step.taken_anew(batches if len(batches) > 1 else [], logs, undone)


class _Step(NamedTuple):
    """How the steps of a call are taken.

    Args:
        model: Whose they are.
        iterator: Where its batches come from.
        train_function: What takes them.
        watchers: Who is shown what.
    """

    model: Any
    iterator: Any
    train_function: Any
    watchers: list[tuple[Any, Any]]

    def taken(self, batches) -> tuple[Any, Undone | None]:
        """Takes some steps at once: what was returned, and whether they are undone."""
        _looked(batches, self.watchers)
        logs = self.train_function(_again(self.model, self.iterator, batches))
        told = (then(logs) for _, then in self.watchers if then is not None)
        # For whoever comes after the one who undoes them, they were not.
        return logs, next((undone for undone in told if undone is not None), None)

    def taken_anew(self, batches, logs, undone) -> Any:
        """Takes steps one by one, as many as a call takes that are not undone."""
        steps, good = 0, None
        if self.model.stop_training:
            return undone.instead(logs)
        for batch in itertools.chain(batches, self.iterator):
            logs, again = self.taken([batch])
            if again is None:
                good, steps = logs, steps + 1
            undone = again or undone
            if steps == self.model.steps_per_execution or self.model.stop_training:
                break
        return undone.instead(logs) if good is None else good


def _looked(batches, watchers) -> Undone | None:
    found = [look(batches) for look, then in watchers if then is not None]
    return next((one for one in found if one is not None), None)


def _again(model, iterator, batches):
    """An iterator over drawn batches that is of the same type as their source."""
    if not isinstance(iterator, tf.data.Iterator):
        return iter(batches)
    return standing_iterator.standing(model, iterator, batches)
