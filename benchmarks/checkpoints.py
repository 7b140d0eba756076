"""`make bench`: what checkpoints within an epoch cost a training, in docs/benchmarks_checkpoints.md.

The default training on 12,800 images of MNIST, with a checkpoint every second and with none, in turns; and how long the training
stands still for each, while the rest is written beside it.
"""

import time
from typing import Any

from filterlab.config import compose
from filterlab.data import ready
from filterlab.data.arrays import LabelledImages
from filterlab.training.checkpoints import KeptCheckpoints
from run import ROOT, machine
from tables import spread, table
from throughput import fitted_pace

OUT = ROOT / "docs/benchmarks_checkpoints.md"
ROUNDS, SECONDS, USUAL = 5, 1, 60  # the last: conf/trainer's seconds between two checkpoints


def main() -> None:
    about, still = machine(), []
    save = KeptCheckpoints.save

    def timed(self: KeptCheckpoints, *given: Any) -> None:
        begun = time.perf_counter()
        save(self, *given)
        still.append(1000 * (time.perf_counter() - begun))

    KeptCheckpoints.save = timed  # type: ignore[method-assign]
    data = compose.compose(ROOT / "conf", ["data=mnist"]).data
    card, train, validation = ready.load(data, ROOT)
    some = LabelledImages(train.images[:12_800], train.labels[:12_800])

    def pace(seconds: int) -> float:
        words = ["data=mnist", "trainer=cpu", "trainer.max_epochs=2", f"trainer.checkpoint_seconds={seconds}"]
        return fitted_pace(compose.compose(ROOT / "conf", words), card, some, validation)

    pace(3600)  # warm up
    still.clear()
    often, never = [], []
    for _ in range(ROUNDS):
        never.append(pace(3600))
        often.append(pace(SECONDS))
    ratios = [mine / other for mine, other in zip(often, never, strict=True)]
    rows = [
        ["none within an epoch", spread(never, ",.0f"), "1"],
        [f"one every {SECONDS} s", spread(often, ",.0f"), spread(ratios, ".3f")],
    ]
    usual = 100 * max(0.0, 1 - sorted(ratios)[len(ratios) // 2]) * SECONDS / USUAL
    text = "\n\n".join(
        [
            "# What checkpoints cost\n\nWritten by `make bench`, every figure measured in one run of it.",
            about,
            table([f"checkpoints ({ROUNDS} rounds in turns)", "images/s", "ratio"], rows),
            f"The training stands still for {spread(still, '.1f')} ms at each of {len(still)} checkpoints, those of epochs' ends "
            f"included. With one every {USUAL} s, as usual, that is {usual:.2f} % of the time. Bar: under 2 %.",
        ]
    )
    OUT.write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
