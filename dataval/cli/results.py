"""The folder of a comparison: which of its files are the library's own, and their exchange for new ones."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from dataval.cli.errors import UsageError
from dataval.cli.inputs import read_limited
from dataval.cli.output import check_folder, check_is_not_input, write_atomically

__all__ = ["RETRAINED", "Results"]

_MANIFEST = "dataval-files.json"
_FORMAT = "dataval comparison 1"
_MOST_BYTES = 2**22
RETRAINED = "retrained"

Digests = dict[str, list[str]]


class Results:
    """The files of a comparison in a folder that may hold others.

    ``dataval-files.json`` lists each file that was written with a hash of its content: a file that isn't
    listed, or was changed since, is the user's.

    Parameters
    ----------
    folder : Path
        Made when something is written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def check(self, names: Iterable[str], inputs: Iterable[Path]) -> None:
        """Raise unless files of these names can be written; nothing is.

        Raises
        ------
        UsageError
            If one is an input, or the user's; or the folder is none, or can't be written to.
        """
        self._check_folder()
        known = self._known()
        inputs = list(inputs)
        for name in [*names, _MANIFEST]:
            check_is_not_input(self.folder / name, inputs)
            if name != _MANIFEST and not self._is_free(name, known):
                self._refuse(name)
        if os.path.lexists(self.folder / RETRAINED) and RETRAINED not in known:
            self._refuse(RETRAINED)

    def claim_retrained(self) -> Path:
        """Return the folder where retrainings are kept, and list it as the library's own."""
        self._make_folder()
        self._list({**self._known(), RETRAINED: []})
        return self.folder / RETRAINED

    def replace(self, files: dict[str, bytes]) -> None:
        """Write files by name, each in one exchange, and remove those of an earlier comparison.

        Raises
        ------
        UsageError
            If a file is the user's by now, or can't be written.
        """
        self._make_folder()
        known = self._known()
        for name in files:
            if not self._is_free(name, known):
                self._refuse(name)
        new: Digests = {name: [_digest(content)] for name, content in files.items()}
        kept: Digests = {RETRAINED: []} if RETRAINED in known else {}
        both = {name: [*known.get(name, []), *new.get(name, [])] for name in {**known, **new}}
        self._list(both)  # first, so that an interruption leaves no file that isn't known
        for name, content in files.items():
            write_atomically(self.folder / name, content)
        for name in known.keys() - new.keys() - kept.keys():
            self._remove(name, known)
        self._list({**kept, **new})

    def _check_folder(self) -> None:
        try:
            if self.folder.is_dir():
                check_folder(self.folder, self.folder)
                return
            if os.path.lexists(self.folder):
                raise UsageError(f"{self.folder} is no folder: choose another --out")
            above = next(each for each in self.folder.absolute().parents if os.path.lexists(each))
        except (OSError, ValueError) as error:
            raise UsageError(f"can't write into {self.folder}: {error}") from error
        check_folder(above, self.folder)

    def _make_folder(self) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"can't make the folder {self.folder}: {error.strerror or error}") from error

    def _known(self) -> Digests:
        """Return the files that an earlier comparison listed, with the hashes that they may have."""
        path = self.folder / _MANIFEST
        if not os.path.lexists(path):
            return {}
        try:
            record = json.loads(read_limited(path, _MOST_BYTES, "it is no list of ours"))
            if path.is_symlink() or record["format"] != _FORMAT:
                raise ValueError("another format")
            return {str(name): [str(each) for each in digests] for name, digests in record["files"].items()}
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise UsageError(f"{path} is not the list of a comparison's files: choose another --out") from error

    def _is_free(self, name: str, known: Digests) -> bool:
        """Return whether there is no file of a name, or one that was written by an earlier comparison."""
        path = self.folder / name
        if not os.path.lexists(path):
            return True
        if name not in known or path.is_symlink() or not path.is_file():
            return False
        try:
            return _digest(path.read_bytes()) in known[name]
        except OSError as error:
            raise UsageError(f"can't read {path}: {error.strerror or error}") from error

    def _refuse(self, name: str) -> None:
        raise UsageError(
            f"{self.folder / name} was not written by a comparison, or changed since: move it away, or choose "
            "another --out"
        )

    def _remove(self, name: str, known: Digests) -> None:
        path = self.folder / name
        if Path(name).name == name and self._is_free(name, known):
            with suppress(FileNotFoundError):
                path.unlink()

    def _list(self, files: Digests) -> None:
        content = json.dumps({"format": _FORMAT, "files": files}, indent=2) + "\n"
        write_atomically(self.folder / _MANIFEST, content.encode())


def _digest(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=16).hexdigest()
