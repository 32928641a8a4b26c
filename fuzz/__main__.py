"""Runs a fuzz target; see the package's docstring."""

from __future__ import annotations

import argparse
import sys
from importlib import import_module
from random import Random

__all__ = ["main"]


def main(arguments: list[str]) -> None:
    """
    Run one target.

    :param arguments: the command line's, without the program's name.
    """
    parser = argparse.ArgumentParser(prog="python -m fuzz")
    parser.add_argument("target", choices=["client", "pairs"])
    parser.add_argument("--random", type=int, metavar="COUNT", help="inputs to generate")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--atheris", nargs=argparse.REMAINDER, help="libFuzzer's arguments")
    options = parser.parse_args(arguments)
    module = import_module(f"fuzz.{options.target}")
    if options.random is not None:
        for number in range(options.random):
            module.target(module.generate(Random(f"{options.seed}/{number}")))
    elif options.atheris is not None:
        import atheris

        atheris.instrument_all()
        atheris.Setup([sys.argv[0], *options.atheris], module.target)
        atheris.Fuzz()
    else:
        module.target(sys.stdin.buffer.read())


if __name__ == "__main__":
    main(sys.argv[1:])
