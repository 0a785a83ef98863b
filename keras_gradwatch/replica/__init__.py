"""From a live model to a pure float64 loss of its weights."""

from keras_gradwatch.framework.backend import require_tensorflow

require_tensorflow()
