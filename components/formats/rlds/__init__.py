"""RLDS: TFRecord files without TensorFlow."""
