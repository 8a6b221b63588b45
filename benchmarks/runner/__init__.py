"""What all suites share: cases and rows, clocks, the machine, documents and their comparison."""
