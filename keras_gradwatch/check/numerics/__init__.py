"""The mathematics of a gradient check, in NumPy alone.

Nothing here knows of TensorFlow or Keras. A loss is a `Problem`: something
with an analytic gradient whose value can be asked for at perturbed points.
"""
