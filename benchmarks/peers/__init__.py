"""Other libraries on the same work, each in one small file, run in an environment of their own."""
