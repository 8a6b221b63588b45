"""``python -m dataval``."""

import sys

from dataval.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
