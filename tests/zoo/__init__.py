"""Small models and data that the tests run on, the same for every framework.

Every framework has a module of its own here with functions of the same names, each building a model in
evaluation-independent, deterministic initialisation: ``build(dtype="float64", seed=0)``.
"""
