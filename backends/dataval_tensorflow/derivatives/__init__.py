"""The losses of a model and their derivatives."""
