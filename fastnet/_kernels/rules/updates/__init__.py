"""Updates of one weight, one family a file: w, g, states → w, states.

A family's scalars are computed once a step, in float64. The further arguments of that rule are the optimizer's: their
annotations are the ranges, their defaults Keras's. A file enters its rows in `registry.updates`; every file of this
folder is read, and no list names them.
"""

import importlib
import pkgutil

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")
