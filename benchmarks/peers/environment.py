"""The environment that the peers run in: this one's packages, and beside them the peers, pinned.

It is made once and kept in a cache folder, under a name that says what it was made of. It sees the packages of
the environment that makes it, so that PyTorch is the same and is never downloaded; each peer is installed
without what it says it depends on, which `requirements.txt` lists instead where it isn't there already.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import venv
from pathlib import Path

REQUIREMENTS = Path(__file__).with_name("requirements.txt")
_DONE = "installed.txt"
_TIMEOUT = 600


class Environment:
    """Where the peers are installed.

    Parameters
    ----------
    folder : path, optional
        In the user's cache by default, or where ``DATAVAL_BENCHMARKS_CACHE`` says.

    Attributes
    ----------
    python : Path
        Its interpreter.
    problems : dict
        What could not be installed, and why.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or cache_folder() / f"peers-{_digest()}"
        self.problems: dict[str, str] = {}

    @property
    def python(self) -> Path:
        """The interpreter."""
        return self.folder / ("Scripts" if os.name == "nt" else "bin") / "python"

    def make(self) -> Environment:
        """Build what isn't there yet."""
        done = self.folder / _DONE
        if done.exists():
            lines = done.read_text(encoding="utf-8").splitlines()
            self.problems = dict(line.split(": ", 1) for line in lines if ": " in line)
            return self
        print(f"making {self.folder} for the peers", file=sys.stderr, flush=True)
        venv.create(self.folder, clear=True, with_pip=True)
        self._see_this_environment()
        for requirement in requirements():
            self._install(requirement)
        done.write_text("".join(f"{name}: {why}\n" for name, why in self.problems.items()), encoding="utf-8")
        return self

    def _see_this_environment(self) -> None:
        """Let it import what this interpreter imports; what is installed in it comes first."""
        found = subprocess.run(
            [self.python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
            check=True,
            capture_output=True,
            text=True,
        )
        paths = [path for path in sys.path if path and Path(path).name in ("site-packages", "dist-packages")]
        (Path(found.stdout.strip()) / "outer.pth").write_text("\n".join(paths) + "\n", encoding="utf-8")

    def _install(self, requirement: str) -> None:
        command = [self.python, "-m", "pip", "install", "--quiet", "--no-deps", requirement]
        try:
            found = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT, check=False)
        except subprocess.TimeoutExpired:
            self.problems[name_of(requirement)] = f"pip took longer than {_TIMEOUT} s"
            return
        if found.returncode:
            errors = [line for line in found.stderr.splitlines() if line.startswith("ERROR")]
            why = errors[-1] if errors else found.stderr.strip()[-200:]
            self.problems[name_of(requirement)] = " ".join(why.split())


def requirements() -> list[str]:
    """Return the lines that pin something."""
    lines = (line.partition("#")[0].strip() for line in REQUIREMENTS.read_text(encoding="utf-8").splitlines())
    return [line for line in lines if line]


def name_of(requirement: str) -> str:
    """Return the name of what a requirement pins, as the index spells it."""
    return re.split(r"[=<>! \[]", requirement)[0].lower()


def cache_folder() -> Path:
    """Return where environments and data are kept between calls."""
    chosen = os.environ.get("DATAVAL_BENCHMARKS_CACHE")
    if chosen:
        return Path(chosen)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "dataval-benchmarks"


def _digest() -> str:
    """Return a name for what the environment is made of."""
    made_of = f"{sys.version} {sys.prefix} {REQUIREMENTS.read_text(encoding='utf-8')}"
    return hashlib.sha256(made_of.encode()).hexdigest()[:12]
