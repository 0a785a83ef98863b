"""What must be known of Keras and TensorFlow, each private name once."""

from keras_gradwatch.framework.backend import require_tensorflow

require_tensorflow()
