"""When to pause training, and what to do with the answer."""

from keras_gradwatch.framework.backend import require_tensorflow

require_tensorflow()
