"""Training and validation data as the caller gave them: read, checked, never written to.

Whatever is passed in becomes `Samples`: arrays in memory or memory maps are `Data`, a data set that yields
samples is `StreamedData`, which reads them when they are needed. No framework is imported here: theirs is
recognised by what it can do.
"""

from dataval.data.arrays import to_numpy
from dataval.data.conversion import as_data
from dataval.data.randomness import Generators, register_generators
from dataval.data.samples import Data, Form, Inputs, Samples
from dataval.data.streams import StreamedData
from dataval.data.structure import concatenated, first_leaf, leaves, map_leaves

__all__ = [
    "Data",
    "Form",
    "Generators",
    "Inputs",
    "Samples",
    "StreamedData",
    "as_data",
    "concatenated",
    "first_leaf",
    "leaves",
    "map_leaves",
    "register_generators",
    "to_numpy",
]
