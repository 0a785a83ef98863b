"""From a live model to its loss as a pure function of its weights.

`replica.py` runs the model's own code with other values in the place of its variables;
`lift/` traces that, and makes a float64 graph of it.
"""

from keras_gradwatch.framework.backend import require_tensorflow

require_tensorflow()
