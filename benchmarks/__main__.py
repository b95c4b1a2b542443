"""``python -m benchmarks [NAME ...] [--quick]``: run all or the named benchmarks (files
bench_NAME.py).
"""

from __future__ import annotations

import argparse
import importlib
from pathlib import Path


def main() -> None:
    names = sorted(
        p.stem.removeprefix("bench_") for p in Path(__file__).parent.glob("bench_*.py")
    )
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help=f"which to run: {', '.join(names)} (default: all)",
    )
    parser.add_argument(
        "--quick", action="store_true", help="small inputs: shows that it runs"
    )
    chosen = parser.parse_args()
    unknown = sorted(set(chosen.names) - set(names))
    if unknown:
        parser.error(
            f"no benchmark {', '.join(unknown)}; choose from {', '.join(names)}"
        )
    for name in chosen.names or names:
        importlib.import_module(f"benchmarks.bench_{name}").run(quick=chosen.quick)


if __name__ == "__main__":
    main()
