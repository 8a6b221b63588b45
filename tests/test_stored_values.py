"""Values stay as they were stored: to a few bits on the machine that stored them, up to rounding elsewhere."""

from __future__ import annotations

import warnings

import numpy as np

import dataval as dv
from tests.stored_values import FOLDER, environment, values_of


def test_values_are_as_stored(framework):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dv.errors.SolverWarning)
        found = values_of(framework)
    with np.load(FOLDER / f"values_{framework}.npz") as stored:
        is_same_machine = str(stored["environment"]) == environment(framework)
        assert found.keys() == set(stored.files) - {"environment"}
        for name, values in found.items():
            # where arrays lie in memory decides the order of summation (1e-16); on other machines it differs
            # everywhere, and grows at most 1e4 times over these few updates
            tolerance = (1e-15 if is_same_machine else 1e-12) * np.nanmax(np.abs(stored[name]))
            np.testing.assert_allclose(values, stored[name], rtol=0, atol=tolerance, err_msg=name)
