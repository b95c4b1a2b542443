"""``python -m torture --seconds 300 --seed 1``: the large campaign."""

from __future__ import annotations

import argparse
import sys

from torture.campaigns import fail_writes, kill_commands
from torture.damage import damage_files
from torture.races import change_inputs, race_commands


def main() -> int:
    """Run all campaigns, the same time each; exit code 1 if a fault was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--seed", type=int, default=1)
    campaigns = {
        "damage": damage_files,
        "faults": fail_writes,
        "kills": kill_commands,
        "races": race_commands,
        "inputs": change_inputs,
    }
    parser.add_argument("--only", choices=tuple(campaigns))
    chosen = parser.parse_args()
    names = [chosen.only] if chosen.only else list(campaigns)
    faults = 0
    for name in names:
        report = campaigns[name](chosen.seconds / len(names), chosen.seed)
        sys.stdout.write("\n".join(report.lines(name)) + "\n")
        sys.stdout.flush()
        faults += len(report.faults)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
