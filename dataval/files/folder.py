"""A folder of one JSON manifest and the data files that it names, exchanged and read as one.

Data files carry their digest in their name, so a new set is written beside the old one. The moment at which the
manifest is renamed into place is the moment at which the new set counts; what it doesn't name is then removed.
Only files of such names are ever touched, all others in the folder stay.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from dataval.errors import DamagedFileError
from dataval.files.atomic import exclusive, is_plain, is_scratch, scratch_for, settle, write_atomic
from dataval.files.digests import file_digest, read_document, sealed, unsealed

__all__ = ["Layout", "check_target", "read_folder", "write_folder"]

Content = TypeVar("Content")
Write = Callable[[Path], object]

_DIGEST = re.compile(r"[0-9a-f]{32}")
_OWN = ("format", "files", "former")


@dataclass(frozen=True)
class Layout:
    """What such a folder looks like for one kind of content.

    Attributes
    ----------
    what : str
        What messages call the content: ``"recorded run"``.
    manifest : str
        The manifest's name.
    entries : frozenset of str
        What every manifest of this kind has, by which it is told from another program's.
    suffixes : dict of str to str
        The data files' suffixes by their part.
    former : dict of str to str
        The data files' names by their part in format 1, which had no digests.
    shared : bool
        Whether a folder may be taken that holds files of others and nothing of ours.
    format : int
        The format that is written, and the latest that is read.
    """

    what: str
    manifest: str
    entries: frozenset[str]
    suffixes: Mapping[str, str]
    former: Mapping[str, str] = field(default_factory=dict)
    shared: bool = False
    format: int = 2

    def file(self, part: str, digest: str) -> str:
        """Return the name of a data file."""
        return f"{part}-{digest}{self.suffixes[part]}"

    def owns(self, name: str) -> bool:
        """Whether a name is one that only this layout gives: data files, scratch files and the lock."""
        data = any(
            name.startswith(f"{part}-")
            and name.endswith(suffix)
            and _DIGEST.fullmatch(name[len(part) + 1 : -len(suffix)])
            for part, suffix in self.suffixes.items()
        )
        return data or any(is_scratch(name, of) for of in (self.manifest, *self.suffixes))


def check_target(folder: Path, layout: Layout, overwrite: bool) -> None:
    """Refuse a folder that `write_folder` would refuse, before the work whose result it is to hold.

    Parameters
    ----------
    folder, layout, overwrite
        As for `write_folder`.

    Raises
    ------
    FileExistsError
        If the folder holds such content and `overwrite` is False, or what is not of this kind.
    """
    if not os.path.lexists(folder):
        return
    if not folder.is_dir():
        raise FileExistsError(f"{folder} exists and is no folder: choose another")
    others = sorted(path for path in folder.iterdir() if path.name != layout.manifest)
    for path in others:
        if layout.owns(path.name) and not is_plain(path):
            raise FileExistsError(f"{path} is a link, a folder or a device: remove it or choose another folder")
    if os.path.lexists(folder / layout.manifest):
        _check_manifest(folder, layout, overwrite)
        return
    foreign = [path.name for path in others if not layout.owns(path.name)]
    if foreign and not layout.shared:
        raise FileExistsError(
            f"{folder} exists and is not empty, it holds {foreign[0]} and no {layout.what}: choose another "
            "folder"
        )


def write_folder(
    folder: Path,
    layout: Layout,
    document: Mapping[str, Any],
    parts: Mapping[str, Write],
    *,
    overwrite: bool,
) -> None:
    """Put a manifest and data files into a folder, in place of what it held of this kind.

    Parameters
    ----------
    folder : Path
        Made if needed.
    layout : Layout
        The kind of content.
    document : dict
        The manifest's content, fit for JSON.
    parts : dict of str to callable
        What writes each data file, given a path.
    overwrite : bool
        Whether content of this kind may be replaced.

    Raises
    ------
    FileExistsError
        If the folder holds such content and `overwrite` is False, or what is not of this kind.
    OSError
        If it can't be written. The folder is then as it was.
    """
    check_target(folder, layout, overwrite)
    is_new = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with exclusive(folder / layout.manifest):
            check_target(folder, layout, overwrite)
            _exchange(folder, layout, document, parts)
    except BaseException:
        if is_new:
            with suppress(OSError):  # another process has put something there meanwhile
                folder.rmdir()
        raise


def read_folder(
    folder: Path, layout: Layout, parse: Callable[[dict[str, Any], dict[str, Path]], Content]
) -> Content:
    """Read a folder, after checking that every file is the one that was written.

    Parameters
    ----------
    folder : Path
        Where `write_folder` wrote.
    layout : Layout
        The kind of content.
    parse : callable
        Gets the manifest's content with its ``format``, and the paths of the data files by their part. A
        `ValueError` says what is wrong with them.

    Raises
    ------
    FileNotFoundError
        If there is no manifest.
    ValueError
        If it has a later format.
    DamagedFileError
        If a file is not what was written, or makes no sense.
    """
    path = folder / layout.manifest
    if not path.exists():
        raise FileNotFoundError(f"{folder} holds no {layout.what}: there is no {layout.manifest} in it")
    while True:
        document = read_document(path)
        try:
            return _parsed(folder, layout, document, parse)
        except (ValueError, OSError) as error:
            if read_document(path) != document:
                continue  # another process has exchanged the content while it was read
            if isinstance(error, FileNotFoundError):
                raise DamagedFileError(f"{path} is damaged: {error.filename} is gone") from error
            raise


def _parsed(
    folder: Path,
    layout: Layout,
    document: dict[str, Any],
    parse: Callable[[dict[str, Any], dict[str, Path]], Content],
) -> Content:
    content, paths = _checked(folder, layout, document)
    try:
        return parse(content, paths)
    except DamagedFileError:
        raise
    except (ValueError, TypeError, LookupError, ArithmeticError) as error:
        raise DamagedFileError(f"the {layout.what} in {folder} is damaged: {error}") from error


def _exchange(folder: Path, layout: Layout, document: Mapping[str, Any], parts: Mapping[str, Write]) -> None:
    former = _former(folder, layout)
    _remove_unnamed(folder, layout)
    try:
        files = {part: _write_part(folder, layout, part, write) for part, write in parts.items()}
        manifest = sealed({"format": layout.format, **document, "files": files, **former})
        text = json.dumps(manifest, indent=2, allow_nan=False) + "\n"
        write_atomic(folder / layout.manifest, lambda path: path.write_text(text, encoding="utf-8"))
    finally:
        _remove_unnamed(folder, layout)


def _write_part(folder: Path, layout: Layout, part: str, write: Write) -> str:
    """Write a data file under the name that its content gives it, and return the digest in that name."""
    scratch = scratch_for(folder / part)
    write(scratch)
    digest = file_digest(scratch)
    settle(scratch, folder / layout.file(part, digest))
    return digest


def _former(folder: Path, layout: Layout) -> dict[str, dict[str, str]]:
    """Return what the new manifest says of files of format 1: their digests, by which they are removed."""
    path = folder / layout.manifest
    if not path.exists() or "files" in read_document(path):
        return {}
    names = [name for name in layout.former.values() if (folder / name).exists()]
    return {"former": {name: file_digest(folder / name) for name in names}}


def _remove_unnamed(folder: Path, layout: Layout) -> None:
    """Remove files of ours that the manifest doesn't name: of a replaced, failed or killed save."""
    path = folder / layout.manifest
    document = read_document(path) if path.exists() else {}
    named = {layout.file(part, digest) for part, digest in document.get("files", {}).items()}
    for other in folder.iterdir():
        if layout.owns(other.name) and other.name not in named and other.suffix != ".lock":
            other.unlink(missing_ok=True)
    for name, digest in document.get("former", {}).items():
        if (folder / name).is_file() and file_digest(folder / name) == digest:
            (folder / name).unlink()


def _check_manifest(folder: Path, layout: Layout, overwrite: bool) -> None:
    path = folder / layout.manifest
    if not overwrite:
        raise FileExistsError(
            f"{folder} exists and is not empty: choose another folder, or pass overwrite=True to replace the "
            f"{layout.what} saved there"
        )
    if not is_plain(path) or not _is_ours(path, layout):
        raise FileExistsError(
            f"{path} is not that of a {layout.what}, or it is damaged: remove it or choose another folder"
        )


def _is_ours(path: Path, layout: Layout) -> bool:
    """Whether a manifest is of this kind, and what it says of files can be relied on."""
    try:
        document = read_document(path)
        version = _version(path, layout, document)
        if version > 1:
            _files(unsealed(document, path), layout, path)
    except ValueError:
        return False
    return layout.entries <= document.keys()


def _version(path: Path, layout: Layout, document: Mapping[str, Any]) -> int:
    version = document.get("format")
    if type(version) is not int or version < 1:
        raise DamagedFileError(f"{path} is damaged: its format is {version!r}")
    if version > layout.format:
        raise ValueError(
            f"the {layout.what} in {path.parent} has format {version}, this version of dataval reads up to "
            f"{layout.format}: upgrade dataval"
        )
    return version


def _checked(folder: Path, layout: Layout, document: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Path]]:
    """Return the manifest's content and the paths of the data files, each with the right digest."""
    path = folder / layout.manifest
    if _version(path, layout, document) == 1:
        if "files" in document:
            raise DamagedFileError(f"{path} is damaged: its format is not 1")
        return document, {part: folder / name for part, name in layout.former.items()}
    content = unsealed(document, path)
    files = _files(content, layout, path)
    paths = {part: folder / layout.file(part, digest) for part, digest in files.items()}
    for part, file in paths.items():
        if file_digest(file) != files[part]:
            raise DamagedFileError(f"{file} is damaged: its content doesn't match its digest")
    kept = {key: value for key, value in content.items() if key not in _OWN or key == "format"}
    return kept, paths


def _files(content: Mapping[str, Any], layout: Layout, path: Path) -> dict[str, str]:
    """Return the digests of the data files by their part."""
    files = content.get("files")
    if (
        not isinstance(files, dict)
        or files.keys() != layout.suffixes.keys()
        or not all(isinstance(digest, str) and _DIGEST.fullmatch(digest) for digest in files.values())
    ):
        raise DamagedFileError(f"{path} is damaged: it doesn't name the files {sorted(layout.suffixes)}")
    return files
