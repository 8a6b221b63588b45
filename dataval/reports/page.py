"""The page: one file of HTML, with everything in it that it needs, that asks nobody for anything."""

from __future__ import annotations

import base64
import hashlib
import html
import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from dataval.reports.atlas import Atlases

__all__ = ["SIGNATURE", "make_page"]

SIGNATURE = "<!doctype html>\n<!-- dataval report -->\n"
"""What every page begins with."""

_STYLES = ("colours", "layout", "tiles", "panels", "print")
_SCRIPTS = (
    "dom",
    "decode",
    "data",
    "store",
    "view",
    "pictures",
    "samples",
    "tiles",
    "grid",
    "histogram",
    "filters",
    "decisions",
    "exports",
    "detail",
    "charts",
    "explain",
    "classes",
    "methods",
    "head",
    "fragment",
    "keys",
    "start",
)
"""The client's modules in the order of their use, joined into one script."""


def make_page(title: str, data: Mapping[str, Any], atlases: Mapping[str, Atlases | None]) -> str:
    """Return the page.

    Parameters
    ----------
    title : str
        Shown by the browser.
    data : mapping
        What the client reads.
    atlases : mapping of str to Atlases
        Images by name, decoded when they are needed.
    """
    script, style = _joined("js", _SCRIPTS), _joined("css", _STYLES)
    policy = "; ".join(
        [
            "default-src 'none'",
            f"script-src {_hash(script)}",
            f"style-src {_hash(style)}",
            "img-src data: blob:",
            "base-uri 'none'",
            "form-action 'none'",
        ]
    )
    parts = {
        "policy": html.escape(policy, quote=True),
        "title": html.escape(title),
        "style": style,
        "data": _inert(data),
        "script": script,
        "atlases": "".join(_blocks(name, each) for name, each in atlases.items() if each is not None),
    }
    page = _static("page.html")
    pieces = page.split("@@")
    return SIGNATURE + "".join(parts[piece] if i % 2 else piece for i, piece in enumerate(pieces))


def _inert(data: Mapping[str, Any]) -> str:
    """Return JSON that no parser of HTML finds a tag in."""
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text.encode("utf-8", "backslashreplace").decode()


def _blocks(name: str, atlases: Atlases) -> str:
    return "".join(
        f'<script type="text/plain" id="atlas-{name}-{i}">{image}</script>\n'
        for i, image in enumerate(atlases.images)
    )


def _hash(content: str) -> str:
    digest = hashlib.sha256(content.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


@cache
def _joined(kind: str, names: tuple[str, ...]) -> str:
    parts = [_static(f"{name}.{kind}").strip() for name in names]
    if kind == "css":
        return "\n".join(parts)
    return '(() => {\n"use strict";\n' + "\n".join(parts) + "\n})();"


@cache
def _static(name: str) -> str:
    return (files("dataval.reports") / "static" / name).read_text(encoding="utf-8")
