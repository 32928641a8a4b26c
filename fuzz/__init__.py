"""
Fuzz targets: what must hold whatever bytes come.

Each module has a function ``target(data)`` that raises if its invariant, the
first sentence of its docstring, does not hold.  Three ways of running one::

    python -m fuzz client < file              # one input, as AFL gives it
    python -m fuzz client --atheris corpus/   # coverage-guided, if atheris is installed
    python -m fuzz client --random 100000     # generated inputs, the same for the same --seed

The test suite runs a bounded part of the third.
"""
