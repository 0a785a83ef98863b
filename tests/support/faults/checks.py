"""One check of a fault, or of its healthy twin."""

import keras
import numpy as np

import keras_gradwatch as kgw


def check(fault, wrong, seed, **options):
    keras.utils.clear_session(free_memory=False)
    keras.utils.set_random_seed(seed)
    model, *batch = fault.build(wrong, np.random.default_rng(seed))
    return kgw.check_gradients(model, *batch, seed=seed, **options)
