"""Sentences are for people: each finding has one, and no code depends on any."""

import dataclasses

import keras
import pytest

import keras_gradwatch as kgw
from keras_gradwatch.__main__ import main
from keras_gradwatch.findings import sentences
from keras_gradwatch.findings.alert import KINDS
from keras_gradwatch.findings.causes import CAUSES, Mismatch
from keras_gradwatch.findings.digest import digest
from keras_gradwatch.findings.encoding import decode, encode
from keras_gradwatch.findings.examples import (
    AMONG_OTHERS,
    EACH,
    IN_DATA,
    ONLY,
    THESE,
    TOGETHER,
    UNTOLD,
    Blame,
)
from keras_gradwatch.findings.handed import ANOTHER_VALUE, MULTIPLE, Handed
from keras_gradwatch.findings.headline import headline
from keras_gradwatch.findings.notes import NOTES, SEVERE, SEVERITIES, Look
from keras_gradwatch.findings.pattern import ENTRY, SLICE, Pattern
from keras_gradwatch.findings.place import Place
from keras_gradwatch.findings.symptom import SYMPTOMS
from keras_gradwatch.findings.vocabulary import SUBJECTS
from keras_gradwatch.tensorboard.report_writer import ReportWriter

# Something for each field of a cause or a note, by its name.
FIELDS = {
    "analytic": 1.0,
    "again": 2.5,
    "at": "kink",
    "blocked": ("a/kernel",),
    "by": "softmax",
    "count": 3,
    "dtype": "float16",
    "error": 0.25,
    "error_bar": float("inf"),
    "exact": 0.5,
    "factor": 1048576.0,
    "first": (0, 2),
    "gradient": (2,),
    "handed": Handed(MULTIPLE, 0.5),
    "is_compared": True,
    "is_partial": True,
    "is_missing": True,
    "height": 6e-8,
    "is_scaled": True,
    "key": "renorm",
    "kinds": ("int32",),
    "labels": ("a/kernel", "b/kernel"),
    "largest": "b",
    "last": 1e9,
    "layer": "rounded",
    "layers": ("a", "b"),
    "linear": 3.0,
    "line": "train.py:41",
    "loss": float("nan"),
    "loss_scale": None,
    "may_underflow": True,
    "norm": 0.5,
    "numerical": 2.0,
    "once": 1.5,
    "open_rows": (1, 2),
    "operation": "Cumprod",
    "optimizer": "optimizer",
    "other": "other_optimizer",
    "path": "a/kernel",
    "paths": ("a/kernel",),
    "pattern": Pattern(ENTRY, index=(1, 2)),
    "place": Place("a", "Dense"),
    "peak": 1e-6,
    "places": (Place("a", "Dense"), Place("b", "Swish")),
    "refused": ("critic",),
    "relative_error": 1e-9,
    "right": "c",
    "scale": 8.0,
    "severity": SEVERE,
    "share": 0.125,
    "size": 9,
    "steps": 100,
    "target": "critic",
    "text": "As it was told.",
    "untold": ("b/kernel",),
    "underflows": True,
    "value": 2.0,
    "variable": (1, 2),
    "where": "a",
    "wrong": "a",
}


def example(cls):
    names = [field.name for field in dataclasses.fields(cls)]
    fields = {name: FIELDS[name] for name in names}
    if cls.__name__ == "TrainingUnseen":
        fields["error"] = "ValueError: odd"
    if cls.__name__.startswith("Expected"):
        fields["pattern"] = "*kernel"
    if cls.__name__ == "NotAllTold":
        fields["right"] = 1
    if cls.__name__ == "OvergrownEntries":
        fields["first"] = 1.0
    return cls(**fields)


@pytest.mark.parametrize("cls", CAUSES)
def test_each_cause_has_a_sentence_for_each_subject(cls):
    for subject in SUBJECTS:
        said = sentences.because(example(cls), subject)
        assert said.endswith(".")
        assert subject == "loss" or "the loss" not in said.lower()


@pytest.mark.parametrize("cls", NOTES)
def test_each_note_has_a_sentence_and_a_severity(cls):
    assert sentences.note(example(cls)).endswith((".", ".)", ": odd"))
    assert cls.severity in SEVERITIES


@pytest.mark.parametrize("cls", SYMPTOMS)
def test_each_symptom_has_a_message(cls):
    found = example(cls)
    assert cls.kind in KINDS
    assert sentences.alarm([found]).endswith(".")
    others = [dataclasses.replace(found, where=name) for name in "bcde"]
    said = sentences.alarm([found, *others])
    assert "So it is with 4 more: b, c, d, ..." in said


@pytest.mark.parametrize("cls", [*CAUSES, *NOTES])
def test_what_is_stored_comes_back(cls):
    found = example(cls)
    stored = encode(found)
    assert stored.pop("is") == cls.__name__
    assert repr(decode(cls, stored)) == repr(found)  # in which NaN equals NaN


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (Pattern(SLICE, axis=1, index=7), "Only column 7 (axis 1) is wrong. There the"),
        (Pattern(ENTRY, index=(3, 7)), "Only entry [3, 7] is wrong: it has a slope of"),
        (None, "The second derivative gives a slope of 1 where differences give 2 +- "),
    ],
)
def test_a_mistake_is_said_in_the_words_of_what_was_differentiated(found, said):
    cause = Mismatch(1.0, 2.0, 1e-9, found)
    assert sentences.because(cause, "gradient").startswith(said)


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (Blame(ONLY, (0,), 1), "The batch has one example."),
        (Blame(IN_DATA, (3,), 8), "Example 3 of the batch of 8 has it."),
        (
            Blame(IN_DATA, tuple(range(9)), 16),
            "Examples 0, 1, 2, 3, 4, 5, 6, 7, ... of the batch of 16 have it.",
        ),
        (
            Blame(THESE, (3,), 8),
            "Example 3 of the batch of 8 is to blame: alone it gives the same, and "
            "without it the batch does not.",
        ),
        (
            Blame(THESE, (3, 4), 8),
            "Examples 3, 4 of the batch of 8 are to blame: without them the batch does "
            "not give it.",
        ),
        (
            Blame(AMONG_OTHERS, (3, 4), 8),
            "Examples 3, 4 of the batch of 8, and others, give the same alone.",
        ),
        (
            Blame(EACH, None, 8, (0, 4, 7)),
            "No single example is to blame: each that was tried alone (0, 4, 7 of 8) "
            "gives the same.",
        ),
        (
            Blame(TOGETHER, None, 8),
            "No example alone gives the same: the batch of 8 as a whole does.",
        ),
        (
            Blame(UNTOLD),
            "Which example is to blame can't be told: the parts of the batch have no "
            "first axis in common.",
        ),
    ],
    ids=lambda value: getattr(value, "kind", ""),
)
def test_who_is_to_blame_is_said(found, said):
    assert sentences.blamed(found) == said


def test_several_values_are_said_without_their_distance():
    assert sentences.handed_on(Handed(ANOTHER_VALUE, distance=0.5, is_beside=True)) == (
        "the gradient, and another value, 50% of the gradient's norm away from it"
    )
    assert sentences.handed_on(Handed(ANOTHER_VALUE)) == "another value"


@keras.saving.register_keras_serializable("tests")
class Halved(keras.layers.Layer):
    def call(self, x):
        return x / 2 + keras.ops.stop_gradient(x / 2)


def findings(folder):
    """All that code makes of a check with a mistake, without the sentences."""
    keras.utils.clear_session(free_memory=False)
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((3,)),
            keras.layers.Dense(4, activation="tanh", name="first"),
            Halved(name="halved"),
            keras.layers.BatchNormalization(name="norm"),
            keras.layers.Dense(2, name="last"),
        ]
    )
    model.compile("sgd", "mse")
    x, y = keras.random.normal((8, 3), seed=1), keras.random.normal((8, 2), seed=2)
    whole = kgw.check_gradients(model, x, y, expected=("nothing",))
    reports = [
        whole,
        kgw.check_function(keras.ops.floor, x),
        kgw.check_function(keras.ops.tanh, x, order=2),
        kgw.check_function(lambda v: keras.ops.log(v), -keras.ops.abs(x)),
    ]
    writer = ReportWriter(folder)
    writer.write(whole)
    writer.close()
    digests = [digest(report) for report in reports]
    (look,) = (note for note in whole.remarks if isinstance(note, Look))
    return {
        "verdicts": [[v.verdict for v in r.variables] for r in reports],
        "of all": [r.verdict for r in reports],
        "causes": [[v.cause for v in r.variables] for r in reports],
        "cause of all": [r.cause for r in reports],
        "remarks": repr([r.remarks for r in reports]),
        "places": [d.places for d in digests],
        "look": look.places,
        "headlines": [headline([d]).verdict for d in digests],
        "manners": [[v.manner for v in d.variables] for d in digests],
        "read": [r.remarks for r in kgw.read_reports(folder)],
        "exit code": main([str(folder)]),
    }


def test_no_code_depends_on_the_words(tmp_path, monkeypatch, capsys):
    before = findings(tmp_path / "before")
    said = capsys.readouterr().out
    assert "Look at 'halved' (Halved)" in said
    for name in ("because", "note", "refusal", "places", "manner", "handed_on"):
        usual = getattr(sentences, name)
        monkeypatch.setattr(
            sentences, name, lambda *a, usual=usual: usual(*a).upper().replace(" ", "~")
        )
    after = findings(tmp_path / "after")
    shouted = capsys.readouterr().out
    assert "LOOK~AT" in shouted.upper().replace(" ", "~")
    assert "'HALVED'~(HALVED)" in shouted
    assert after == before
    assert before["exit code"] == 1
    (place,) = before["places"][0]
    assert (place.name, place.kind) == ("halved", "Halved")
    assert place.line.function == "call"
