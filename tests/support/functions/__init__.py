"""Functions of TensorFlow and Keras, each with arguments in a good domain.

`FUNCTIONS[name]` is a pair: a function, and what makes its arguments from a
`numpy.random.Generator`. Floats are float64.
"""

from tests.support.functions import elementwise, images, keras_ops, linear

FUNCTIONS = {
    **elementwise.FUNCTIONS,
    **linear.FUNCTIONS,
    **images.FUNCTIONS,
    **keras_ops.FUNCTIONS,
}
