"""What decides a function's results, as a text: its code, and the values that the code refers to.

A name does not tell two functions apart: two lambdas, a partial with another argument, an object with another
setting, a function whose helper was changed all share it. So everything that a call may read is followed: code
and constants, defaults, closure cells, the globals that the code names, the state of objects and the methods of
their classes. What belongs to an installed library is named only.

The text is the same in another process: no address, no ``id``, no order of a set is part of it. It differs
between versions of Python, as bytecode does, and begins with the version.
"""

from dataval.identity.reader import identity, is_comparable

__all__ = ["identity", "is_comparable"]
