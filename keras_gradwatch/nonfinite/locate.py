"""From a step that failed to a finding: where its first NaN came from."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from keras_gradwatch.findings import sentences
from keras_gradwatch.findings.examples import UNTOLD, Blame
from keras_gradwatch.findings.nonfinite import (
    DATA,
    STEP,
    UNKNOWN,
    UPDATE,
    WEIGHT,
    Entries,
    Extent,
    NonFinite,
)
from keras_gradwatch.framework.batch import batch_size
from keras_gradwatch.framework.devices import outside_strategies
from keras_gradwatch.framework.isolation import ONE_AT_A_TIME
from keras_gradwatch.framework.model import read_variable
from keras_gradwatch.nonfinite import words
from keras_gradwatch.nonfinite.blame import blame, rows_of
from keras_gradwatch.nonfinite.culprit import (
    IN_GRADIENT,
    IN_LOSS,
    IN_UPDATE,
    failing,
    find,
    first_in_backward,
)
from keras_gradwatch.nonfinite.eager_replay import EagerReplay
from keras_gradwatch.nonfinite.evidence import (
    bad_rows,
    code,
    of_backward,
    of_example,
    of_forward,
)
from keras_gradwatch.nonfinite.failure import Failure
from keras_gradwatch.nonfinite.marks import is_finite
from keras_gradwatch.nonfinite.run import Replay, Run
from keras_gradwatch.nonfinite.traced_replay import TracedReplay
from keras_gradwatch.nonfinite.updates import updated

logger = logging.getLogger("keras_gradwatch")


@dataclass(frozen=True)
class Located:
    """A finding, with what is to be saved for a replay.

    Args:
        finding: The finding.
        batch: The batch of the step, None if it is not known.
        values: The values of variables before the step, by id.
    """

    finding: NonFinite
    batch: Any
    values: Mapping[int, tf.Tensor]


def locate(model: keras.Model, failure: Failure) -> Located:
    """Finds out where the first NaN or infinity of a step came from.

    The step is replayed on a copy; the model is left as it is.

    Args:
        model: The live model.
        failure: The step.

    Returns:
        A `Located`, also where nothing could be found out.
    """
    with ONE_AT_A_TIME, outside_strategies():
        try:
            located = _replayed(model, failure)
        except Exception as error:  # of the user's own layers and steps
            logger.debug("A step could not be replayed.", exc_info=True)
            finding = _finding(failure, kind=UNKNOWN, replayed=False)
            notes = (*finding.notes, words.not_replayable(error))
            finding = dataclasses.replace(finding, notes=notes)
            located = Located(finding, failure.batches[0], failure.values)
    return located


def not_replayed(failure: Failure) -> Located:
    """What can be said of a step of which nothing was held.

    Args:
        failure: The step.
    """
    bad = failure.seen.variables
    finding = NonFinite(
        failure.step,
        words.seen(failure.seen),
        UNKNOWN,
        place=bad[0].path if bad else "",
        entries=Entries.of(read_variable(bad[0])) if bad else None,
        history=failure.history,
        notes=(words.NOT_HELD,),
        replayed=False,
    )
    return Located(finding, None, {})


def _replayed(model, failure):
    """Locates it as the step was traced; else, where that shows nothing, eagerly."""
    try:
        located = _locate(TracedReplay(model, failure.values), failure)
        if located.finding.replayed or not model.run_eagerly:
            return located
    except Exception:  # it has no graph, or one with effects
        logger.debug("A step was not replayed as a graph.", exc_info=True)
    return _locate(EagerReplay(model, failure.values), failure)


def _locate(replay: Replay, failure):
    bad = [
        (v, failure.values[id(v)])
        for v in failure.watched
        if id(v) in failure.values and not is_finite(failure.values[id(v)])
    ]
    if bad:
        return _in_weight(failure, bad)
    last = len(failure.batches) - 1
    for k, batch in enumerate(failure.batches):
        now = dataclasses.replace(
            failure, step=failure.step + k, number=k if last else None
        )
        run = replay.run(batch)
        finding = _in_run(now, replay, batch, run)
        if finding is None:
            after, is_known = _after(run, replay.values)
            finding = _in_update(now, replay, run, after, is_known, k == last)
        if finding is not None:
            finding = dataclasses.replace(
                finding,
                loss=_loss(run),
                batch_size=batch_size(batch),
                notes=(*finding.notes, *words.growth(failure)),
            )
            return Located(finding, batch, replay.values)
        replay.values = after
    raise AssertionError("the last batch gives a finding")


def _in_weight(failure, bad):
    variable, value = bad[0]
    finding = _finding(
        failure,
        kind=WEIGHT,
        place=variable.path,
        where=words.weight_before([v.path for v, _ in bad], failure.check_freq == 1),
        entries=Entries.of(value.numpy()),
        batch_size=batch_size(failure.batches[0]) if failure.batches else None,
    )
    batch = failure.batches[0] if failure.batches else None
    return Located(finding, batch, failure.values)


def _in_run(failure, replay, batch, run) -> NonFinite | None:
    """What the replay shows before the optimizer, None if all is finite."""
    if run.loss_fails:
        symptom = IN_LOSS
        culprit = find(replay, batch, symptom)
        found = of_forward(replay, batch, culprit)
    elif run.bad_gradients():
        symptom = IN_GRADIENT
        culprit = find(replay, batch, symptom)
        found = of_backward(replay, batch, culprit)
        found["variables"] = tuple(v.path for v in first_in_backward(replay, run))
    elif run.bad_handed():
        variable, gradient = run.bad_handed()[0]
        return _finding(
            failure,
            kind=STEP,
            place=variable.path,
            where=words.handed(variable.path),
            entries=Entries.of(gradient.numpy()),
            **code(find(replay, batch, IN_UPDATE).mark),
        )
    else:
        return None
    notes = [] if culprit.is_alone else [words.NOT_ALONE]
    notes += words.half_overflow(culprit.mark.value) if culprit.mark else []
    finding = _finding(failure, **found)
    finding = dataclasses.replace(finding, notes=(*finding.notes, *notes))
    if finding.kind == DATA and finding.examples:
        return finding
    blamed = _examples(replay, batch, culprit, symptom)
    return dataclasses.replace(
        finding,
        examples=blamed.examples,
        example_note=sentences.blamed(blamed),
        inputs=finding.inputs + of_example(culprit, blamed, batch_size(batch)),
    )


def _in_update(failure, replay, run, after, is_known, is_last) -> NonFinite | None:
    """What the update of the optimizer gives."""
    bad = [v for v in failure.watched if not is_finite(after.get(id(v), 0.0))]
    if not bad and not is_last:
        return None
    reproduced = bool(bad)
    values = {id(v): after[id(v)] for v in bad}
    if not bad:
        bad = list(failure.seen.variables)
        values = {id(v): read_variable(v) for v in bad}
    if not bad:
        return _finding(
            failure, kind=UNKNOWN, where=words.not_shown(_loss(run)), replayed=False
        )
    handed = {id(v): gradient for v, gradient in run.handed}
    variable = next((v for v in bad if id(v) in handed), bad[0])
    inputs: tuple[Extent, ...] = ()
    if id(variable) in handed:
        gradient = handed[id(variable)].numpy()
        inputs = (Extent.of("gradient that the optimizer was handed", gradient),)
    before = replay.values.get(id(variable))
    if reproduced:
        where = words.update([v.path for v in bad], variable.path, failure.rate)
    elif is_known:
        where = words.update_not_shown(variable.path, _loss(run))
    else:
        where = words.update_not_repeated(variable.path, failure.rate)
    return _finding(
        failure,
        kind=UNKNOWN if is_known and not reproduced else UPDATE,
        place=variable.path,
        where=where,
        entries=Entries.of(values[id(variable)].numpy()),
        inputs=inputs,
        weights=() if before is None else (Extent.of(variable.path, before.numpy()),),
        replayed=reproduced,
    )


def _after(run: Run, values):
    """The values after the step, and whether copies of the optimizers tell them."""
    values = {**values, **run.values}
    try:
        return updated(run.updates, values), True
    except Exception:  # an optimizer that can't be made anew
        logger.debug("An update could not be repeated.", exc_info=True)
        return values, False


def _examples(replay, batch, culprit, symptom) -> Blame:
    size = batch_size(batch)
    if size is None:
        return Blame(UNTOLD)
    fails, backward = failing(symptom), symptom != IN_LOSS

    def fails_of(rows):
        chosen = tf.constant(rows_of(rows, size))
        part = tf.nest.map_structure(
            lambda leaf: None if leaf is None else tf.gather(leaf, chosen), batch
        )
        return fails(replay.run(part, with_gradients=backward))

    hint = [] if culprit.mark is None else bad_rows(culprit.mark.value, size)
    return blame(size, hint, fails_of)


def _loss(run):
    return float(tf.add_n([tf.reduce_sum(tf.cast(x, tf.float64)) for x in run.losses]))


def _finding(failure, **found) -> NonFinite:
    return NonFinite(
        step=failure.step,
        seen=words.seen(failure.seen),
        history=failure.history,
        notes=words.notes(failure),
        **found,
    )
