"""What dataval costs and what its values are worth, measured: ``python -m benchmarks --list``."""
