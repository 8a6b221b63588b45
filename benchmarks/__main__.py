"""``python -m benchmarks``."""

from benchmarks.runner.main import main

if __name__ == "__main__":
    raise SystemExit(main())
