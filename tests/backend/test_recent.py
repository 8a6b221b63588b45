"""A few things that were made lately."""

from __future__ import annotations

import gc
import weakref

from dataval.backend.recent import Recent


class Made:
    """Something that counts how often it was made."""

    count = 0

    def __init__(self):
        Made.count += 1


def test_the_same_key_gives_the_same_thing():
    recent = Recent()
    assert recent.get("a", None, Made) is recent.get("a", None, Made)
    assert recent.get("b", None, Made) is not recent.get("a", None, Made)


def test_the_one_that_was_asked_for_longest_ago_goes():
    recent = Recent(2)
    first, second = recent.get(1, None, Made), recent.get(2, None, Made)
    assert recent.get(1, None, Made) is first
    recent.get(3, None, Made)
    before = Made.count
    assert recent.get(1, None, Made) is first
    assert Made.count == before
    assert recent.get(2, None, Made) is not second


def test_what_it_was_made_from_stays_as_long():
    """So that the id of a function stays its own while it is a key."""
    recent = Recent(1)
    source = Made()
    reference = weakref.ref(source)
    recent.get(id(source), source, Made)
    del source
    gc.collect()
    assert reference() is not None
    recent.get("another", None, Made)
    gc.collect()
    assert reference() is None


def test_what_fails_is_not_kept():
    recent = Recent()

    def fail():
        raise KeyError

    for make in (fail, Made):
        try:
            found = recent.get("a", None, make)
        except KeyError:
            continue
    assert isinstance(found, Made)
