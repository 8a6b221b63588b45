"""Every relative link of the README and of the documentation leads to a file, and every anchor to a heading."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
GENERATED = {"_build", "auto_examples", "gen_modules"}


def pages() -> list[Path]:
    docs = [path for path in DOCS.rglob("*.md") if not GENERATED & {*path.relative_to(DOCS).parts}]
    return sorted([*ROOT.glob("*.md"), *(ROOT / ".github").rglob("*.md"), *docs])


def prose(text: str) -> str:
    """Return a page without its blocks of code and its inline code, except for roles such as {doc}."""
    text = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    return re.sub(r"(?<!\})`[^`\n]*`", "", text)


def links(text: str) -> Iterator[str]:
    """Yield the targets of a page's links, images and reference definitions that stay within the repository."""
    found = re.findall(r"\]\(([^()\s]+)\)|^\[[^\]]+\]:\s*(\S+)", prose(text), flags=re.MULTILINE)
    yield from (link for pair in found for link in pair if link and not re.match(r"[a-z]+:", link))


def documents(text: str) -> Iterator[str]:
    """Yield the targets of a page's {doc} roles."""
    for role in re.findall(r"\{doc\}`([^`]+)`", text):
        yield role.partition("<")[2].rstrip(">") or role


def anchors(text: str) -> set[str]:
    """Return the anchors of a page's headings, as GitHub and MyST make them."""
    headings = re.findall(
        r"^#+ +(.+?)\s*$", re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE), re.MULTILINE
    )
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken(page: Path) -> list[str]:
    """Return the targets of a page that lead nowhere."""
    text = page.read_text(encoding="utf-8")
    dead = [link for link in links(text) if not leads_somewhere(page, *link.partition("#")[::2])]
    return dead + [name for name in documents(text) if not is_document(page, name)]


def leads_somewhere(page: Path, path: str, anchor: str) -> bool:
    target = (page.parent / path) if path else page
    return target.exists() and (not anchor or anchor in anchors(target.read_text(encoding="utf-8")))


def is_document(page: Path, name: str) -> bool:
    """Whether a document exists; pages of the gallery are made from the tutorials' scripts."""
    path = DOCS / name[1:] if name.startswith("/") else page.parent / name
    if path.parent.name == "auto_examples":
        return path.name == "index" or (DOCS / "tutorials" / f"{path.name}.py").is_file()
    return path.with_name(f"{path.name}.md").is_file()


@pytest.mark.parametrize("page", pages(), ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    assert not broken(page)


def test_every_page_is_in_a_table_of_contents():
    listed = "\n".join(path.read_text(encoding="utf-8") for path in DOCS.rglob("index.md")).split()
    names = {path.stem for path in pages() if path.is_relative_to(DOCS)} - {"index"}
    assert names <= {entry.rpartition("/")[2] for entry in listed}


def test_dead_ones_are_found(tmp_path):
    (tmp_path / "there.md").write_text("# A heading: twice\n", encoding="utf-8")
    page = tmp_path / "page.md"
    page.write_text(
        "[a](there.md) [b](there.md#a-heading-twice) [c](https://x.y/z) [d](gone.md) [e](there.md#gone)\n"
        "![f](gone.png) `[g](code.md)` {doc}`gone` {doc}`text <there>`\n\n"
        "```md\n[h](fenced.md)\n```\n\n[i]: also.md\n",
        encoding="utf-8",
    )
    assert broken(page) == ["gone.md", "there.md#gone", "gone.png", "also.md", "gone"]
