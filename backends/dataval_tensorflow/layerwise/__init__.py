"""Per-sample gradients layer by layer: its inputs, and the gradient in its outputs, from one pass back."""
