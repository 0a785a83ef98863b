"""From a live model to a pure float64 loss of its weights."""

from keras_gradwatch.backend import require_tensorflow

require_tensorflow()
