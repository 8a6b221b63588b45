"""``dataval compare``: what it writes, and that its configuration gives the same result again."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest

import dataval as dv
from dataval.cli import choices
from dataval.cli.compare import _LOADERS
from dataval.cli.config import CompareConfig
from dataval.cli.main import main
from dataval.cli.methods import _CLASSES
from dataval.evaluation import Comparison
from dataval.zoo import MODELS, named_model
from tests.cli.conftest import everything_in

SMALL = ["--dataset", "wine", "--model", "mlp", "--n-train", "60", "--batch-size", "20", "--epochs", "2"]


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """The folder of one comparison, and what it was asked."""
    out = tmp_path_factory.mktemp("cli") / "results"
    options = ["--methods", "hydra,mean-loss", "--noise", "0.2", "--seeds", "0,3", "--ground-truth", "3"]
    asked = ["compare", *SMALL, *options, "--fraction", "0.1", "--across-seeds"]
    assert main([*asked, "--out", str(out)]) == 0
    return out, asked


def test_everything_is_written(done):
    out, _ = done
    files = {path.name for path in out.iterdir()}
    assert list(out.glob("values-*.npz"))
    expected = {
        "config.json",
        "comparison.json",
        "table.txt",
        "comparison.png",
        "noise_detection.png",
    }
    assert expected <= files
    result = Comparison.load(out)
    assert (out / "table.txt").read_text() == f"{result}\n"
    assert result.seeds == (0, 3)
    assert result.values["hydra"].shape == (2, 60)


def test_a_folder_that_cannot_take_it_is_refused_at_once(tmp_path, capsys):
    (tmp_path / "comparison.json").write_text("{}")
    assert main(["compare", "--dataset", "wine", "--out", str(tmp_path)]) == 2
    assert "comparison.json was not written by a comparison" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["comparison.json"]


def test_it_is_the_comparison_of_the_library(done):
    out, _ = done
    data = dv.datasets.load_wine(n_train=60)
    y, is_noisy = dv.noise.flip_labels(data.y_train, 0.2, seed=0)
    build, backend = named_model("mlp", (13,), 3)
    training = dv.Training(
        optimizer=dv.SGD(learning_rate=0.02, momentum=0.9, weight_decay=5e-4), epochs=2, batch_size=20
    )
    learner = dv.Learner(build, training=training, backend=backend)
    methods = {"hydra": dv.HyDRA(learner), "mean-loss": dv.MeanLoss(learner)}
    samples = data.X_train, y, data.X_val, data.y_val
    options = {"seeds": [0, 3], "ground_truth": 3, "fraction": 0.1, "across_seeds": True}
    expected = dv.compare(methods, *samples, is_noisy=is_noisy, **options)
    found = Comparison.load(out)
    for name in methods:
        np.testing.assert_array_equal(found.values[name], expected.values[name])
        for left, right in zip(found[name].outcomes, expected[name].outcomes, strict=True):
            assert (left.noise, left.fidelity) == (right.noise, right.fidelity)
            assert left.fidelity_other_seeds == pytest.approx(
                right.fidelity_other_seeds, abs=1e-12, nan_ok=True
            )


def test_the_configuration_gives_the_same_again(done, tmp_path, capsys):
    out, _ = done
    assert main(["compare", "--config", str(out / "config.json"), "--out", str(tmp_path)]) == 0
    assert "AUROC" in capsys.readouterr().out
    assert (tmp_path / "config.json").read_bytes() == (out / "config.json").read_bytes()
    first, second = Comparison.load(out), Comparison.load(tmp_path)
    for name, values in first.values.items():
        np.testing.assert_array_equal(second.values[name], values)


def test_arguments_replace_the_configuration(done, tmp_path):
    out, _ = done
    arguments = ["--methods", "random", "--learning-rate", "0.5", "--seeds", "7", "--no-across-seeds"]
    assert main(["compare", "--config", str(out / "config.json"), *arguments, "--out", str(tmp_path)]) == 0
    config = CompareConfig.model_validate_json((tmp_path / "config.json").read_text())
    before = CompareConfig.model_validate_json((out / "config.json").read_text())
    assert config.methods == ("random",)
    assert config.training.optimizer.learning_rate == 0.5
    assert config.training.optimizer.momentum == before.training.optimizer.momentum
    assert config.training.epochs == before.training.epochs == 2
    assert config.seeds == (7,)


def test_yaml_where_it_can_be_read(done, tmp_path):
    pytest.importorskip("yaml")
    path = tmp_path / "config.yml"
    fields = "dataset: wine\nmodel: linear\nmethods: [random]\nn_train: 60\n"
    path.write_text(f"{fields}training: {{epochs: 1, optimizer: {{name: sgd, learning_rate: 1e-2}}}}\n")
    assert main(["compare", "--config", str(path), "--out", str(tmp_path)]) == 0


def test_a_failing_method_gives_code_1_and_keeps_the_others(tmp_path, capsys, monkeypatch):
    def fail(self, replay, validation):
        raise ZeroDivisionError("on purpose")

    monkeypatch.setattr(dv.RandomValues, "_score", fail)
    arguments = ["compare", *SMALL, "--methods", "random,mean-loss", "--out", str(tmp_path)]
    assert main(arguments) == 1
    assert "random failed: ZeroDivisionError: on purpose" in capsys.readouterr().out
    assert Comparison.load(tmp_path)["mean-loss"].errors == ()


def test_an_interruption_writes_what_is_done(tmp_path, capsys, monkeypatch):
    def interrupt(self, replay, validation):
        raise KeyboardInterrupt

    monkeypatch.setattr(dv.RandomValues, "_score", interrupt)
    arguments = ["compare", *SMALL, "--methods", "mean-loss,random", "--out", str(tmp_path)]
    assert main(arguments) == 130
    assert "interrupted" in capsys.readouterr().err
    assert Comparison.load(tmp_path)["mean-loss"].errors == ()


def test_without_noise_there_is_nothing_to_detect(tmp_path):
    arguments = ["compare", *SMALL, "--methods", "mean-loss", "--noise", "0", "--out", str(tmp_path)]
    assert main(arguments) == 0
    assert Comparison.load(tmp_path)["mean-loss"].outcomes[0].noise is None


def test_a_second_comparison_leaves_no_figure_of_the_first(tmp_path, capsys):
    out = tmp_path / "results"
    notes = out / "notes.txt"
    out.mkdir()
    notes.write_text("mine")
    for noise in ("0.2", "0"):
        assert main(["compare", *SMALL, "--methods", "mean-loss", "--noise", noise, "--out", str(out)]) == 0
    names = {path.name for path in out.iterdir()}
    assert {"notes.txt", "config.json", "comparison.png", "table.csv"} <= names
    assert "noise_detection.png" not in names
    assert notes.read_text() == "mine"


def test_the_configuration_is_never_written_over(done, refused, tmp_path):
    out, _ = done
    (tmp_path / "link").symlink_to(out)
    before = everything_in(out)
    for folder in (out, tmp_path / "link", out.parent / "RESULTS" / ".." / "results"):
        assert "is the input" in refused("compare", "--config", out / "config.json", "--out", folder)
    assert everything_in(out) == before


def test_the_table_as_csv(done):
    out, _ = done
    rows = list(csv.DictReader((out / "table.csv").read_text().splitlines()))
    expected = Comparison.load(out).rows()
    methods = ["hydra", "mean-loss", "outcomes of other seeds", "random order"]
    assert [row["method"] for row in rows] == methods
    assert float(rows[0]["AUROC"]) == expected[0]["AUROC"]


def test_the_names_are_those_of_the_library():
    assert tuple(MODELS) == choices.MODELS
    assert tuple(_CLASSES) == choices.METHODS
    assert tuple(_LOADERS) == choices.DATASETS


def test_configuration_names_every_field(done):
    out, _ = done
    fields = json.loads((out / "config.json").read_text())
    assert fields.keys() == CompareConfig.model_fields.keys()
    assert fields["training"]["optimizer"]["learning_rate"] == 0.02
