"""The README's Python code runs as it stands, in its order."""

from __future__ import annotations

import re
from pathlib import Path

import matplotlib as mpl
import pytest

README = Path(__file__).parents[1] / "README.md"


@pytest.mark.slow
def test_quick_start_runs_and_finds_wrong_labels(tmp_path, monkeypatch, capsys):
    pytest.importorskip("torch")
    monkeypatch.chdir(tmp_path)
    mpl.use("agg")
    code = re.findall(r"^```python\n(.*?)^```", README.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    assert len(code) >= 5
    names: dict = {}
    for block in code:
        exec(compile(block, str(README), "exec"), names)
    assert names["values"].shape == names["exact_values"].shape == (1297,)
    assert names["is_noisy"][names["suspicious"]].mean() > 0.9  # measured 1.0: 20 of 20 are flipped
    assert names["accuracy"] > 0.9  # measured 0.95
    assert capsys.readouterr().out.count("linear datamodeling score") == 2
