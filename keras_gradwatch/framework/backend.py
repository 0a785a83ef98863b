"""Whether Keras runs on TensorFlow; asked before Keras is imported."""

import json
import os
import sys
from pathlib import Path

from keras_gradwatch.errors import BackendError


def require_tensorflow() -> None:
    """Makes sure that Keras computes with TensorFlow.

    Raises:
        BackendError: If it computes, or is set to compute, with another backend.
    """
    if "keras" not in sys.modules:
        # Keras fails to import, in its own words, where a backend is missing.
        backend = _configured()
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


def _configured() -> str:
    """The backend that Keras will take, as its documentation says."""
    named = os.environ.get("KERAS_BACKEND")
    if named:
        return named
    home = os.environ.get("KERAS_HOME")
    folder = Path(home) if home else Path.home() / ".keras"
    try:
        return str(json.loads((folder / "keras.json").read_text())["backend"])
    except (OSError, ValueError, KeyError, TypeError):  # none, or none that can be read
        return "tensorflow"
