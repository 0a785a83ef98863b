"""The tab "Gradient check" in TensorBoard."""
