"""The command line: ``dataval compare`` and ``dataval detect``."""

from dataval.cli.main import main

__all__ = ["main"]
