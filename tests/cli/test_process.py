"""The command line as a process of its own: pipes, devices, signals, and what it costs to ask for help."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import dataval

COMMAND = [sys.executable, "-m", "dataval"]
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "0"}
HEAVY = {"numpy", "sklearn", "scipy", "pandas", "pydantic", "torch", "tensorflow", "yaml", "matplotlib"}

pytestmark = pytest.mark.skipif(os.name != "posix", reason="pipes, signals and devices of POSIX")


def run(*arguments, **options):
    defaults = {"capture_output": True, "text": True, "timeout": 60, "env": ENVIRONMENT}
    return subprocess.run([*COMMAND, *map(str, arguments)], **{**defaults, **options}, check=False)


def test_help_costs_little_and_imports_nothing_heavy():
    show = "import sys; from dataval.cli import main\ntry: main(['--help'])\nexcept SystemExit: pass\n"
    count = "import resource; print(resource.getrusage(resource.RUSAGE_SELF).ru_utime, *sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", show + count], capture_output=True, text=True, env=ENVIRONMENT, check=True
    )
    seconds, *modules = done.stdout.splitlines()[-1].split()
    assert not HEAVY & set(modules)
    assert float(seconds) < 0.3  # measured: 0.06 on a slow core


def test_version():
    done = run("--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"dataval {dataval.__version__}\n", "")


@pytest.mark.parametrize("arguments", [["--help"], ["detect", "--help"], ["--version"]])
def test_a_closed_pipe(arguments):
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "w") as stream:  # noqa: PTH123
        done = run(*arguments, stdout=stream, stderr=subprocess.PIPE, capture_output=False)
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no device that is full")
def test_a_full_standard_output():
    with open("/dev/full", "w") as stream:  # noqa: PTH123
        done = run("--version", stdout=stream, stderr=subprocess.PIPE, capture_output=False)
    assert done.returncode == 2
    assert done.stderr == "dataval: can't write to standard output: No space left on device\n"


@pytest.mark.parametrize("stream", [1, 2])
def test_a_closed_stream(stream):
    done = subprocess.run(
        ["/bin/sh", "-c", f'exec "$@" {stream}>&-', "sh", *COMMAND, "bogus"],
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
        check=False,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert "Traceback" not in done.stderr


def test_devices_and_pipes_end_at_once(tmp_path):
    done = run("compare", "--config", "/dev/zero", cwd=tmp_path)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    done = run("detect", "/dev/stdin", cwd=tmp_path)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert list(tmp_path.iterdir()) == []


def test_an_interruption(tmp_path):
    """Training would take minutes: it ends within seconds, leaving nothing."""
    rows = "".join(f"{i % 13},{i % 7},{i % 2}\n" for i in range(2000))
    (tmp_path / "d.csv").write_text(f"a,b,y\n{rows}")
    command = [*COMMAND, "detect", "d.csv", "--epochs", "2000", "--out", "found.csv", "--seed", "1"]
    process = subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT
    )
    time.sleep(4)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (130, "", "dataval: interrupted\n")
    assert [path.name for path in tmp_path.iterdir()] == ["d.csv"]
