"""Arguments that make no sense end in one line and code 2, before anything is read, trained or written."""

from __future__ import annotations

import pytest

from dataval.cli.main import main

COMMON = {
    "": "required: command",
    "bogus": "invalid choice: 'bogus'",
    "Detect data.csv": "invalid choice: 'Detect'",
    "--": "required: command",
    "-- bogus": "invalid choice: 'bogus'",
    "--bogus": "command",
    "detect": "required: data",
    "detect --": "required: data",
    "detect -- --help": "must end in",
    "detect -- -x.csv": "there is no file -x.csv",
    "detect a.csv b.csv": "unrecognized arguments: b.csv",
    "detect data.csv --bogus": "unrecognized arguments: --bogus",
    "compare extra": "unrecognized arguments: extra",
}
DETECT = {
    "--seed -1": "at least 0",
    "--seed=-1": "at least 0",
    "--seed 4294967296": "at most 4294967295",
    "--seed 99999999999999999999999999": "at most 4294967295",
    f"--seed {'9' * 5000}": "at most 4294967295",
    "--seed 1.0": "whole number",
    "--seed 1e3": "whole number",
    "--seed x": "whole number",
    "--seed 1_0": "whole number",
    "--seed ٣": "whole number",
    "--seed nan": "whole number",
    "--seed": "expected one argument",
    "--epochs 0": "at least 1",
    "--epochs -3": "at least 1",
    "--epochs 2.5": "whole number",
    "--epochs many": "whole number",
    "--epochs 10001": "at most 10000",
    "--epochs inf": "whole number",
    "--top 0": "at least 1",
    "--top -1": "at least 1",
    "--top 1.5": "whole number",
    "--method magic": "invalid choice: 'magic'",
    "--model vgg": "invalid choice: 'vgg'",
    "--model lenet": "takes images",
    "--model cnn": "takes images",
    "--task guess": "invalid choice: 'guess'",
    "--task regression": "no plain numbers, such as 'u'",
    "--label z": "no column 'z'",
    "--label 0": "no column '0'",
    "--no-header --label 7": "has no header",
    "--header=maybe": "ignored explicit argument",
    "--drop z": "--drop names no column 'z'",
    "--keep a,z": "--keep names no column 'z'",
    "--text z": "--text names no column 'z'",
    "--id z": "--id names no column 'z'",
    "--keep y": "--keep names 'y', which are the labels",
    "--drop a": "no column is left",
    "--out .": "it is a folder",
    "--out none/x.csv": "there is no folder",
    "--out data.csv/x.csv": "can't write",
    "--out data.csv": "is the input",
    "--out /dev/null": "a device",
    "--out /dev/full": "a device",
    "--out /dev/fd/1": "can't write",
    "--out /dev/x.csv": "among the devices",
    "--out /proc/x.csv": "among the devices",
    "--out": "expected one argument",
    "--out=": "must be a path",
    "--out x\0y": "must be a path",
    f"--out {'x' * 300}": "can't write",
}
COMPARE = {
    "--dataset mnist": "dataset: must be one of",
    "--dataset=": "dataset: must be one of",
    "--model vgg": "model: must be one of",
    "--model lenet --dataset wine": "takes images",
    "--backend abacus": "unknown backend",
    "--methods magic": "unknown method 'magic'",
    "--methods random,random": "named twice",
    "--methods ,": "methods: must have at least 1",
    "--noise 1": "noise: must be less than 1 (got 1.0)",
    "--noise -0.1": "noise: must be at least 0",
    "--noise nan": "must be a number (got 'nan')",
    "--noise inf": "must be a number (got 'inf')",
    "--noise 1_0": "must be a number",
    "--noise x": "must be a number",
    "--noise-kind odd": "noise_kind: must be one of",
    "--seeds -1": "at least 0",
    "--seeds=-1,2": "at least 0",
    "--seeds 0,0": "one is there twice",
    "--seeds 0,,1": "whole number",
    "--seeds=": "whole number",
    "--seeds 0;1": "whole number",
    "--seeds 0.5": "whole number",
    "--seeds 4294967296": "at most 4294967295",
    "--n-train 0": "at least 1",
    "--n-train 1e3": "whole number",
    "--n-train 1000": "n_train asks for 1000 samples",
    "--n-train 20": "batch_size",
    "--n-train 999999999999999999999": "at most",
    "--n-val 0": "at least 1",
    "--n-val 100000": "100000",
    "--ground-truth 2": "at least 3",
    "--ground-truth 5 --across-seeds": "at least two seeds",
    "--ground-truth 1000000": "ground_truth: must be at most 100000",
    "--ground-truth 5 --fraction 0.0001": "removes none or all",
    "--fraction 0": "fraction: must be greater than 0",
    "--fraction 1": "fraction: must be less than 1",
    "--fraction -1": "fraction: must be greater than 0",
    "--epochs 0": "at least 1",
    "--epochs 1.5": "whole number",
    "--epochs 10001": "at most 10000",
    "--batch-size 0": "at least 1",
    "--batch-size 5000": "batch_size",
    "--batch-size x": "whole number",
    "--learning-rate 0": "training.optimizer.sgd.learning_rate: must be greater than 0",
    "--learning-rate -1": "learning_rate: must be greater than 0",
    "--learning-rate x": "must be a number",
    "--config none.json": "there is no file none.json",
    "--config .": "is a folder",
    "--config /dev/zero": "a device or a pipe",
    "--config=": "must be a path",
    "--out data.csv": "is no folder",
    "--out data.csv/x": "can't",
    "--out /dev/null": "is no folder",
    "--out /proc/x": "among the devices",
    "--out=": "must be a path",
}


@pytest.fixture
def table(tmp_path):
    (tmp_path / "data.csv").write_text("a,y\n" + "".join("1,u\n2,v\n3,u\n" for _ in range(4)))


@pytest.mark.parametrize("line", COMMON)
def test_common(refused, line):
    assert COMMON[line] in refused(*line.split(" ") if line else [])


@pytest.mark.parametrize("line", DETECT, ids=lambda line: line[:40])
@pytest.mark.usefixtures("table")
def test_detect(refused, line):
    label = [] if "--label" in line else ["--label", "y"]
    assert DETECT[line] in refused("detect", "data.csv", *label, *line.split(" "))


@pytest.mark.parametrize("line", COMPARE, ids=lambda line: line[:40])
@pytest.mark.usefixtures("table")
def test_compare(refused, line):
    small = [] if "--dataset" in line else ["--dataset", "wine", "--model", "mlp"]
    assert COMPARE[line] in refused("compare", *small, *line.split(" "))


@pytest.mark.parametrize("path", ["data.txt", "data", "data.csv.zip", "data.npy", "none.csv", "", "a\0b.csv"])
def test_data_that_is_no_file_of_a_known_kind(refused, path):
    line = refused("detect", path)
    assert any(said in line for said in ("must end in", "there is no file", "must be a path"))


def test_help_and_version_need_no_command(capsys):
    for line in (["--help"], ["detect", "--help"], ["compare", "--help"], ["--version"]):
        with pytest.raises(SystemExit) as ended:
            main(line)
        assert ended.value.code == 0
        assert capsys.readouterr().out
