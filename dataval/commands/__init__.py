"""What the command line does; `dataval.cli` reads the arguments."""
