"""Models of keras_hub, small and with random weights: checked in full, faults found.

Run with `-m hub`, where keras_hub is installed: it is no part of `.[test]`.
"""

import keras
import numpy as np
import pytest
from keras import layers

import keras_gradwatch as kgw
from tests.support.models import Middle

pytestmark = [
    pytest.mark.hub,
    # Heads that are not used here; layers that build themselves at their first call.
    pytest.mark.filterwarnings("ignore:Gradients do not exist"),
    pytest.mark.filterwarnings("ignore:Layer .* looks like it has unbuilt state"),
    pytest.mark.filterwarnings("ignore:Layer .* was passed an input with a mask"),
]
WORDS, LENGTH, COUNT = 50, 8, 24
# Of the trainable variables, so many have to be told within three checks.
TOLD = 0.95


def _tokens(rng):
    return rng.integers(1, WORDS, (COUNT, LENGTH))


def _ids(rng):
    return {"token_ids": _tokens(rng), "padding_mask": np.ones((COUNT, LENGTH), int)}


def _llama(hub, rng):
    sizes = {"num_query_heads": 2, "num_key_value_heads": 1, "intermediate_dim": 16}
    return hub.LlamaBackbone(WORDS, 2, hidden_dim=8, **sizes), _ids(rng)


def _gemma(hub, rng):
    sizes = {"num_query_heads": 2, "num_key_value_heads": 1, "intermediate_dim": 16}
    backbone = hub.GemmaBackbone(WORDS, 2, hidden_dim=8, head_dim=4, **sizes)
    return backbone, _ids(rng)


def _gpt2(hub, rng):
    sizes = {"intermediate_dim": 16, "max_sequence_length": LENGTH, "dropout": 0.1}
    return hub.GPT2Backbone(WORDS, 2, 2, hidden_dim=8, **sizes), _ids(rng)


def _bert(hub, rng):
    sizes = {"intermediate_dim": 16, "max_sequence_length": LENGTH, "dropout": 0.1}
    backbone = hub.BertBackbone(WORDS, 2, 2, hidden_dim=8, **sizes)
    return backbone, {**_ids(rng), "segment_ids": np.zeros((COUNT, LENGTH), int)}


def _t5(hub, rng):
    backbone = hub.T5Backbone(WORDS, 2, 2, hidden_dim=8, intermediate_dim=16)
    both = {
        f"{part}_{k}": v
        for part in ("encoder", "decoder")
        for k, v in _ids(rng).items()
    }
    return backbone, both


def _whisper(hub, rng):
    backbone = hub.WhisperBackbone(
        WORDS,
        2,
        2,
        hidden_dim=8,
        intermediate_dim=16,
        max_encoder_sequence_length=16,
        max_decoder_sequence_length=LENGTH,
    )
    inputs = {f"decoder_{k}": v for k, v in _ids(rng).items()}
    return backbone, {"encoder_features": rng.normal(size=(COUNT, 16, 80)), **inputs}


def _vit(hub, rng):
    backbone = hub.ViTBackbone(
        image_shape=(16, 16, 3),
        patch_size=(8, 8),
        num_layers=2,
        num_heads=2,
        hidden_dim=8,
        mlp_dim=16,
    )
    return backbone, rng.normal(size=(COUNT, 16, 16, 3))


BACKBONES = {
    "llama": _llama,
    "gemma": _gemma,
    "gpt2": _gpt2,
    "bert": _bert,
    "t5": _t5,
    "whisper": _whisper,
    "vit": _vit,
}


def _model(name, wrong, rng):
    hub = pytest.importorskip("keras_hub").models
    backbone, x = BACKBONES[name](hub, rng)
    found = backbone(backbone.input)
    if isinstance(found, dict):
        found = found.get("sequence_output", list(found.values())[-1])
    found = Middle(wrong, name="middle")(found)
    model = keras.Model(
        backbone.input, layers.Dense(3)(layers.GlobalAveragePooling1D()(found))
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(1e-3), loss, jit_compile=False)
    return model, x, rng.integers(0, 3, COUNT)


def _told(check):
    verdicts = {}
    for report in check.reports:
        for variable in report.variables:
            told = variable.verdict in ("PASS", "FAIL", "UNUSED") or any(
                c.word == "zero" for c in variable.coordinates + variable.directions
            )
            verdicts[variable.path] = verdicts.get(variable.path, False) or told
    return np.mean(list(verdicts.values()))


@pytest.mark.parametrize("name", BACKBONES)
def test_a_model_of_keras_hub_is_told_in_full(name, rng):
    model, x, y = _model(name, False, rng)
    check = kgw.GradientCheck(warmup_steps=1, check_freq=2, verbose=0)
    model.fit(x, y, batch_size=4, verbose=0, callbacks=[check])
    assert len(check.reports) == 3
    # What one of these checks had no time left for, another one has told.
    assert not any(r.failures for r in check.reports), str(check.reports[0])
    assert {r.dtype for r in check.reports} == {"float64"}
    assert _told(check) >= TOLD, str(check.reports[-1])


@pytest.mark.parametrize("name", BACKBONES)
def test_a_fault_behind_it_is_found_and_located(name, rng):
    report = kgw.check_gradients(*_model(name, True, rng), time_budget=20)
    assert report.verdict == "FAIL"
    # Layers of keras_hub are as suspect as the user's own: the last may be named, too.
    assert report.places[-1].name.endswith("middle"), str(report)
