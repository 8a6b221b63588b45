"""The curvature of the training objective, and the linear systems that influence functions solve with it."""
