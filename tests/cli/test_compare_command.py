"""``dataval compare``: what it writes, and that its configuration gives the same result again."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest

import dataval as dv
from dataval.cli.config import CompareConfig
from dataval.cli.main import main
from dataval.evaluation import Comparison
from dataval.zoo import named_model

SMALL = ["--dataset", "wine", "--model", "mlp", "--n-train", "60", "--batch-size", "20", "--epochs", "2"]


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """The folder of one comparison, and what it was asked."""
    out = tmp_path_factory.mktemp("cli") / "results"
    options = ["--methods", "hydra,mean-loss", "--noise", "0.2", "--seeds", "0,3", "--ground-truth", "3"]
    asked = ["compare", *SMALL, *options, "--fraction", "0.1"]
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
    assert "comparison.json is not that of a comparison" in capsys.readouterr().err
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
    expected = dv.compare(methods, *samples, is_noisy=is_noisy, seeds=[0, 3], ground_truth=3, fraction=0.1)
    found = Comparison.load(out)
    for name in methods:
        np.testing.assert_array_equal(found.values[name], expected.values[name])
        for left, right in zip(found[name].outcomes, expected[name].outcomes, strict=True):
            assert (left.noise, left.fidelity) == (right.noise, right.fidelity)


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
    arguments = ["--methods", "random", "--learning-rate", "0.5", "--seeds", "7"]
    assert main(["compare", "--config", str(out / "config.json"), *arguments, "--out", str(tmp_path)]) == 0
    config = CompareConfig.model_validate_json((tmp_path / "config.json").read_text())
    before = CompareConfig.model_validate_json((out / "config.json").read_text())
    assert config.methods == ("random",)
    assert config.training.optimizer.learning_rate == 0.5
    assert config.training.optimizer.momentum == before.training.optimizer.momentum
    assert config.training.epochs == before.training.epochs == 2
    assert config.seeds == (7,)


def test_yaml(done, tmp_path, capsys, monkeypatch):
    out, _ = done
    path = tmp_path / "config.yaml"
    path.write_text((out / "config.json").read_text())  # JSON is YAML
    monkeypatch.setitem(sys.modules, "yaml", None)
    assert_usage_error(["compare", "--config", str(path)], 'pip install "dataval[yaml]"', capsys)


def test_yaml_where_it_can_be_read(done, tmp_path):
    pytest.importorskip("yaml")
    path = tmp_path / "config.yml"
    path.write_text("dataset: wine\nmodel: linear\nmethods: [random]\nn_train: 60\ntraining: {epochs: 1}\n")
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


def test_mistakes_end_in_one_line_and_code_2(tmp_path, capsys):
    out = ["--out", str(tmp_path / "none")]
    for arguments, message in [
        (["--dataset", "mnist"], "dataset"),
        (["--model", "vgg"], "model"),
        (["--methods", "magic"], "unknown method 'magic'"),
        (["--methods", ","], "methods"),
        (["--noise", "1"], "noise"),
        (["--seeds", "-1"], "seeds"),
        (["--dataset", "wine", "--model", "lenet"], "takes images"),
        (["--dataset", "wine", "--n-train", "1000"], "1000 training samples"),
        (["--dataset", "wine", "--model", "mlp", "--n-train", "20"], "batch_size"),
        (["--backend", "abacus"], "unknown backend"),
        (["--config", "none.json"], "can't read none.json"),
    ]:
        assert_usage_error(["compare", *arguments, *out], message, capsys)
    for content, message in [("{", "not valid JSON"), ("[]", "one mapping"), ('{"x": 1}', "x: Extra")]:
        (tmp_path / "c.json").write_text(content)
        assert_usage_error(["compare", "--config", str(tmp_path / "c.json"), *out], message, capsys)


def test_configuration_names_every_field(done):
    out, _ = done
    fields = json.loads((out / "config.json").read_text())
    assert fields.keys() == CompareConfig.model_fields.keys()
    assert fields["training"]["optimizer"]["learning_rate"] == 0.02


def assert_usage_error(arguments, message, capsys):
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert len(captured.err.splitlines()) == 1, captured.err
    assert message in captured.err
