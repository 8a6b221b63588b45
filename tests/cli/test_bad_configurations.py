"""Configurations that are broken, or made to do harm, end in one line and code 2."""

from __future__ import annotations

import os
import sys

import pytest

LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{here}: &{here} [{', '.join([f'*{before}'] * 9)}]\n"
    for before, here in zip("abcdefgh", "bcdefghi", strict=True)
)

JSON = {
    "": "not valid JSON",
    "{": "not valid JSON",
    "[]": "one mapping of options, not list",
    "3": "one mapping of options, not int",
    "null": "one mapping of options, not NoneType",
    '{"x": 1}': "x: there is no such field",
    '{"training": {"x": 1}}': "training.x: there is no such field",
    '{"noise": NaN}': "NaN",
    '{"noise": Infinity}': "Infinity",
    '{"noise": -Infinity}': "-Infinity",
    '{"noise": 1e999}': "numbers must be finite",
    '{"noise": 0.1, "noise": 0.2}': "'noise' is there twice",
    '{"training": {"epochs": 1, "epochs": 2}}': "'epochs' is there twice",
    '{"training": {"epochs": 0}}': "configuration: training.epochs: must be greater than 0 (got 0)",
    '{"training": {"epochs": -1}}': "training.epochs: must be greater than 0 (got -1)",
    '{"training": {"epochs": 2.0}}': "training: epochs must be a whole number, got 2.0",
    '{"training": {"epochs": "2"}}': "training: epochs must be a whole number, got '2'",
    '{"training": {"epochs": true}}': "training: epochs must be a whole number, got True",
    '{"training": {"epochs": null}}': "training.epochs: must be a whole number",
    '{"training": {"epochs": [2]}}': "training.epochs: must be a whole number",
    '{"training": {"epochs": 1000000000}}': "training.epochs: must be at most 10000",
    '{"training": {"seed": 4294967296}}': "training.seed: must be at most",
    '{"training": {"batch_size": 0}}': "training.batch_size: must be greater than 0",
    '{"training": {"optimizer": {"name": "magic"}}}': "training.optimizer: the name must be one of",
    '{"training": {"optimizer": {}}}': "training.optimizer: a name is missing",
    '{"training": {"optimizer": 3}}': "training.optimizer: must be a mapping",
    '{"training": {"optimizer": {"name": "sgd"}}}': "learning_rate: is missing",
    '{"training": {"optimizer": {"name": "sgd", "learning_rate": "x"}}}': "must be a number, got 'x'",
    '{"training": {"optimizer": {"name": "sgd", "learning_rate": 1, "nesterov": true}}}': "nesterov",
    '{"training": {"schedule": {"name": "x"}}}': "training.schedule",
    '{"training": []}': "training: must be a mapping of options (got [])",
    '{"training": 3}': "training: must be a mapping of options (got 3)",
    '{"training": null}': "training: must be a mapping",
    '{"seeds": 7}': "seeds: must be a list (got 7)",
    '{"seeds": []}': "seeds: must have at least 1 entries",
    '{"seeds": ["0"]}': "seeds.0: must be a whole number",
    '{"seeds": [0.0]}': "seeds.0: must be a whole number",
    '{"seeds": [-1]}': "seeds.0: must be at least 0",
    '{"seeds": [1, 1]}': "one is there twice",
    '{"seeds": [99999999999999999999]}': "seeds.0: must be",
    '{"methods": "hydra"}': "methods: must be a list",
    '{"methods": [1]}': "methods.0: must be text",
    '{"noise": "0.2"}': "noise: must be a number (got '0.2')",
    '{"n_train": 2.5}': "n_train: must be a whole number",
    '{"dataset": 3}': "dataset: must be one of",
    '{"dataset": "\\ud800"}': "no valid Unicode",
    '{"backend": 3}': "backend: must be text",
    "[" * 100_000: "nested too deeply",
    '{"a":' * 900 + "1" + "}" * 900: "nested too deeply",
    '{"a":' * 30 + "1" + "}" * 30: "nested too deeply",
    f'{{"noise": {"9" * 10_000}}}': "not valid JSON",
    f'{{"x": "{"y" * 2**22}"}}': "holds more than 4 MiB",
    '{"dataset": "wine"} trailing': "not valid JSON",
    "{'dataset': 'wine'}": "not valid JSON",
}
YAML = {
    "": "one mapping",
    "- wine": "one mapping",
    "wine": "one mapping",
    "a: [": "not valid YAML",
    "a: b: c": "not valid YAML",
    "\tdataset: wine": "not valid YAML",
    "dataset: wine\n---\ndataset: wine\n": "not valid YAML",
    "dataset: wine\ndataset: digits\n": "'dataset' is there twice",
    LAUGHS: "aliases",
    "a: &a [*a]": "aliases",
    "a: *b": "aliases",
    "<<: *b": "aliases",
    "[" * 50_000: "nested too deeply",
    "- " * 5_000: "nested too deeply",
    "noise: .nan": "numbers must be finite",
    "noise: .inf": "numbers must be finite",
    "1: 2": "keys must be text",
    "? [a]\n: b": "not valid YAML",
    "noise: !!python/object/apply:os.system [true]": "not valid YAML",
    "noise: !magic 3": "not valid YAML",
    "noise: 2001-99-99": "not valid YAML",
    "noise: 2001-01-01": "noise: must be a number",
    "training: {epochs: '2'}": "training: epochs must be a whole number",
    "training: {epochs: 1e1}": "training: epochs must be a whole number",
    "noise: !!binary x": "not valid YAML",
    "noise: \x07": "not valid YAML",
    f"noise: {'9' * 10_000}": "not valid YAML",
    f"noise: {'9' * 2**16}": "holds more than 64 KiB",
}
BYTES = {
    "latin-1": (b'{"backend": "\xe9"}', "not UTF-8 text (byte 13)"),
    "NUL": (b'{"dataset": "wine"}\0', "NUL bytes"),
    "UTF-32": ('{"dataset": "wine"}'.encode("utf-32"), "NUL bytes"),
    "broken UTF-16": (b"\xff\xfe{", "not UTF-8 text"),
    "zip": (b"PK\x03\x04\x14\x00\x00\x00\x08\x00", "NUL bytes"),
    "UTF-16": ('{"x": 1}'.encode("utf-16"), "x: there is no such field"),
    "byte order mark": (b'\xef\xbb\xbf{"x": 1}', "x: there is no such field"),
}


@pytest.mark.parametrize("text", JSON, ids=lambda text: text[:40])
def test_json(refused, tmp_path, text):
    (tmp_path / "c.json").write_text(text)
    assert JSON[text] in refused("compare", "--config", "c.json")


@pytest.mark.parametrize("text", YAML, ids=lambda text: text[:40])
def test_yaml(refused, tmp_path, text):
    pytest.importorskip("yaml")
    (tmp_path / "c.yaml").write_text(text)
    assert YAML[text] in refused("compare", "--config", "c.yaml")


@pytest.mark.parametrize("kind", BYTES)
def test_bytes(refused, tmp_path, kind):
    content, message = BYTES[kind]
    (tmp_path / "c.json").write_bytes(content)
    assert message in refused("compare", "--config", "c.json")


@pytest.mark.parametrize(
    "field", ['{"training": 3}', '{"training": {"optimizer": 3}}', '{"training": {"epochs": []}}']
)
def test_arguments_do_not_hide_what_is_wrong_in_the_file(refused, tmp_path, field):
    (tmp_path / "c.json").write_text(f'{{"training": {field}}}')
    assert "configuration: training" in refused("compare", "--config", "c.json", "--learning-rate", "0.1")


def test_yaml_without_pyyaml(refused, tmp_path, monkeypatch):
    (tmp_path / "c.yml").write_text("dataset: wine")
    monkeypatch.setitem(sys.modules, "yaml", None)
    assert "pip install 'dataval[yaml]'" in refused("compare", "--config", "c.yml")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes with names here")
def test_pipes(refused, tmp_path):
    os.mkfifo(tmp_path / "c.json")
    os.mkfifo(tmp_path / "d.csv")
    assert "a device or a pipe" in refused("compare", "--config", "c.json")
    assert "a device or a pipe" in refused("detect", "d.csv")
