"""`make bench`: the experiments on CIFAR-10's photographs, three seeds each, in docs/benchmarks_cifar10.md.

Needs the archive of conf/data/cifar10.yaml in FILTERLAB_MIRROR; without it, nothing is measured. Three quarters of an hour on two
quiet cores.
"""

import os
from pathlib import Path

from run import ROOT, accuracy, machine, project

OUT = ROOT / "docs/benchmarks_cifar10.md"
ARCHIVE = "cifar10.zip"
EXPERIMENTS = [("cifar10", "cifar10", "88.00", "900"), ("cifar10_fast", "cifar10_fast", "75.00", "90")]


def main() -> None:
    if not (Path(os.environ.get("FILTERLAB_MIRROR", ".")) / ARCHIVE).exists():
        print(f"CIFAR-10 is not measured: FILTERLAB_MIRROR names no folder with {ARCHIVE}")
        return
    about = machine()
    with project() as root:
        measured = accuracy(root, EXPERIMENTS)
    text = f"# CIFAR-10 (as JPEG)\n\nWritten by `make bench`. Bars are for two quiet cores.\n\n{about}\n\n{measured}"
    OUT.write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
