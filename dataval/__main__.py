"""``python -m dataval``."""

import sys

from dataval.cli import main

if __name__ == "__main__":
    sys.exit(main())
