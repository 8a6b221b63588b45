"""A model as a pure function of its parameters and buffers."""
