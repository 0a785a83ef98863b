"""From a live model to a pure float64 loss of its weights.

Keras is imported here for the first time, so its backend is looked at here.
"""

import keras

from keras_gradwatch.errors import BackendError

if keras.backend.backend() != "tensorflow":
    raise BackendError(
        "keras_gradwatch needs Keras on its TensorFlow backend: it checks what "
        "`tf.GradientTape` returns. Set the environment variable "
        "KERAS_BACKEND=tensorflow before Keras is first imported. Received: "
        f"keras.backend.backend()={keras.backend.backend()!r}"
    )
