"""Where a NaN or an infinity came from: detect, replay, locate, finding, text.

Data flows one way, from `detect` to `saved`. `finding`, `words`, `examples` and
`saved` import neither TensorFlow nor Keras.
"""
