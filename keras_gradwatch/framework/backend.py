"""Whether Keras runs on TensorFlow; asked before Keras is imported."""

import os
import sys

from keras_gradwatch.errors import BackendError


def require_tensorflow() -> None:
    """Makes sure that Keras computes with TensorFlow.

    Raises:
        BackendError: If it computes, or is set to compute, with another backend.
    """
    if "keras" not in sys.modules:
        # Keras fails to import, in its own words, where a backend is missing.
        backend = os.environ.get("KERAS_BACKEND", "tensorflow")
    if "keras" in sys.modules or backend == "tensorflow":
        import keras

        backend = keras.backend.backend()
    if backend != "tensorflow":
        raise BackendError(
            "keras_gradwatch needs Keras on its TensorFlow backend: it checks what "
            "`tf.GradientTape` returns. Set the environment variable "
            "KERAS_BACKEND=tensorflow before Keras is first imported. Received: "
            f"the backend {backend!r}"
        )
