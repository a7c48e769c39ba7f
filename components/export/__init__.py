"""From a checkpoint to a sealed bundle: ONNX, parity on real frames, card."""
