"""The tab "Gradients" in TensorBoard."""
