"""What the tests of the report share: samples, and one browser."""

from __future__ import annotations

import base64
import json
import re

import numpy as np
import pytest

from benchmarks.browser import Browser, find_chromium

TYPES = {"f2": "<f2", "f4": "<f4", "f8": "<f8", "i4": "<i4", "u2": "<u2", "u1": "u1"}


def data_of(page):
    """Return what a page's client reads."""
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page.html, re.DOTALL)
    return json.loads(found[1])


def array_of(encoded):
    """Return an array that was encoded for the client."""
    array = np.frombuffer(base64.b64decode(encoded["base64"]), TYPES[encoded["kind"]])
    array = array.reshape(encoded["shape"])
    return array.astype(float) * encoded["scale"] if "scale" in encoded else array


@pytest.fixture(scope="session")
def browser():
    """Headless Chromium, started once."""
    executable = find_chromium()
    if executable is None:
        pytest.skip("there is no Chromium")
    with Browser(executable) as started:
        yield started
