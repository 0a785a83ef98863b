"""What was found: frozen data, its words, its pictures.

Nothing here imports TensorFlow or Keras.
"""
