"""``python -m torture --seconds 300 --seed 1``: the large campaign."""

from __future__ import annotations

import argparse
import sys

from torture.campaigns import damage_files, fail_writes, kill_commands


def main() -> int:
    """Run all campaigns, a third of the time each; exit code 1 if a fault was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", choices=("kills", "faults", "damage"))
    chosen = parser.parse_args()
    campaigns = {"damage": damage_files, "faults": fail_writes, "kills": kill_commands}
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
