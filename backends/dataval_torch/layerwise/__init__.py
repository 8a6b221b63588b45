"""Per-sample gradients layer by layer: inputs, and the gradient in the outputs, from one pass back."""
