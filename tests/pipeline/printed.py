"""The commands that README.md and docs/ print, in order, and where each of those that no clone can run by itself is run."""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = ["README.md", *sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").glob("*.md"))]
PROGRAMS = {
    "make",
    "dvc",
    "filterlab",
    "git",
    "source",
    "scontrol",
    "squeue",
    "sbatch",
    "scancel",
    "mlflow",
    "uv",
    "pip",
    "python",
}
BLOCK = re.compile(r"(?:^    .*\n(?:\n(?=    ))?)+", re.MULTILINE)
# Blocks that are no commands, by how they begin.
NO_COMMANDS = {
    "README.md": [
        "params.yaml   the parameters",
        "model: mlp\n",
        "import mlflow, numpy\n",
        "# src/filterlab/models/architectures/narrow.py",
        "# src/filterlab/training/optimizers.py",
    ],
    "docs/data.md": ["herbs/basil/1.jpg", "herbs/train/basil/1.jpg", "label,pixel0", "file,label"],
    "docs/cluster.md": ["hydra.launcher.max_num_timeout=3"],
    "docs/python.md": ["from filterlab import lab"],
    "docs/server.md": ["import os\nfrom mlflow"],
}
# In running text these are names, by which no one is told to do something.
NAMES = [
    "filterlab train",
    "filterlab server",
    "filterlab pipeline",
    "dvc repro",
    "dvc push",
    "dvc pull",
    "make pipeline",
    "make server",
]
SLURM, JOBS = "tests/slurm/test_slurm.py", "tests/slurm/test_launchers.py"
SERVER, POSTGRES = "tests/server/test_server_refusals.py", "tests/server/test_postgres_server.py"
HERE = "tests/pipeline/test_remote.py"
SYNC = "tests/tracking/test_sync.py"
PREDICT = "tests/commands/test_predicting.py"
ANY_RUN = "tests/sweeps/test_any_run.py"
# By page, the commands that are not run as printed in a fresh clone by test_printed.py, and the test that runs their like.
ELSEWHERE = {
    "README.md": {
        "make test": ".ci/run",
        "make lint": ".ci/run",
        "make lecture": "tests/lecture/test_whole.py",
        "make notebook": "tests/test_notebook.py",
        "make gpu": "tests/gpu/test_training.py",
        "make ui": "tests/ui/test_mlflow_ui.py",
        "filterlab visualize --sweep compare": ANY_RUN,
        "filterlab evaluate --sweep compare": ANY_RUN,
        "filterlab report --sweep compare": ANY_RUN,
        "filterlab play --sweep compare": ANY_RUN,
        "filterlab compare RUN RUN": ANY_RUN,
        "filterlab play RUN": ANY_RUN,
        "filterlab predict drawing.jpg --show answer.png": PREDICT,
        "make pictures": "tests/ui/test_pictures.py",
        "source .venv/bin/activate": "tests/test_makefile.py",
    },
    "docs/benchmarks.md": {"make bench": "benchmarks/run.py"},
    "docs/benchmarks_sweeps.md": {"make bench": "benchmarks/sweeps.py"},
    "docs/benchmarks_tracking.md": {"make bench": "benchmarks/tracking.py"},
    "docs/benchmarks_checkpoints.md": {"make bench": "benchmarks/checkpoints.py"},
    "docs/benchmarks_images.md": {"make bench": "benchmarks/images.py"},
    "docs/benchmarks_cifar10.md": {"make bench": "benchmarks/cifar10.py"},
    "docs/benchmarks_gpu.md": {
        "make gpu": "tests/gpu/test_training.py",
        "make test": ".ci/run",
        "python benchmarks/gpu.py --device cpu": "benchmarks/gpu.py",
    },
    "docs/cluster.md": {
        "git clone ... filterlab && cd filterlab": SLURM,
        "make setup": "tests/test_makefile.py",
        "source .venv/bin/activate": "tests/test_makefile.py",
        "export MLFLOW_TRACKING_URI=http://HOST:5000": POSTGRES,
        "filterlab train -m tracking=server ...": POSTGRES,
        "filterlab train -m hydra/launcher=slurm hydra.launcher.partition=gpu hydra.launcher.gpus_per_node=1 "
        "tracking=server model=cnn,mlp 'seed=range(5)' --sweep compare --detach": SLURM,
        "filterlab sweep status compare": SLURM,
        "filterlab sweep collect compare": SLURM,
        "filterlab sweep cancel compare": SLURM,
        "squeue --me": SLURM,
        "tail -f runs/compare/.submitit/*/*_log.out": SLURM,
        "scontrol requeue": SLURM,
        "filterlab train -m hydra/launcher=slurm trainer=ddp trainer.devices=4 hydra.launcher.gpus_per_node=4 "
        "hydra.launcher.tasks_per_node=4 hydra.launcher.cpus_per_task=4 model=cnn,resnet": SLURM,
        'sbatch --ntasks=1 --cpus-per-task=8 --gpus=1 --time=60 --wrap "filterlab train -m hydra/launcher=joblib '
        "hydra.launcher.n_jobs=4 trainer=gpu 'seed=range(16)'\"": JOBS,
        "filterlab train -m hydra/launcher=joblib hydra.launcher.n_jobs=4 model=cnn,mlp 'seed=range(5)'": JOBS,
    },
    "docs/data.md": {
        "filterlab data add ../herbs --name herbs": "tests/pipeline/test_from_a_folder.py",
        "filterlab data show herbs": "tests/commands/test_data.py",
    },
    "docs/predict.md": {
        "filterlab predict drawing.jpg --show answer.png": PREDICT,
        "filterlab predict scans/ --csv answers.csv": PREDICT,
        "filterlab predict --run 16f32b58 - < digit.png": PREDICT,
        "filterlab predict test.csv --csv submission.csv": PREDICT,
    },
    "docs/python.md": {"make notebook": "tests/test_notebook.py"},
    "docs/reliability.md": {
        "make faults": ".ci/run",
        "filterlab sync": SYNC,
        "FILTERLAB_AT_ONCE=32 pytest tests/tracking/test_at_once.py": "tests/tracking/test_at_once.py",
        "FILTERLAB_MUTATIONS=200 pytest tests/test_damage.py tests/config/test_mutations.py": "tests/test_damage.py",
        "pytest tests/training/test_checkpoints.py": "tests/training/test_checkpoints.py",
        "FILTERLAB_KILLS=100 pytest tests/stages/test_train.py -k killed_at_random": "tests/stages/test_train.py",
    },
    "docs/server.md": {
        "sudo -u postgres createuser --pwprompt filterlab": "tests/server/conftest.py",
        "sudo -u postgres createdb --owner filterlab filterlab": "tests/server/conftest.py",
        "make setup": "tests/test_makefile.py",
        "export FILTERLAB_STORE=postgresql://filterlab:PASSWORD@127.0.0.1:5432/filterlab": POSTGRES,
        "make server": POSTGRES,
        "filterlab server --host 0.0.0.0 --allowed-hosts mlflow.example.org": SERVER,
        "filterlab server --auth --allowed-hosts mlflow.example.org": POSTGRES,
        "export MLFLOW_TRACKING_URI=https://mlflow.example.org": POSTGRES,
        "export MLFLOW_TRACKING_USERNAME=ada": POSTGRES,
        "export MLFLOW_TRACKING_PASSWORD='at least twelve characters'": POSTGRES,
        "filterlab train tracking=server": POSTGRES,
        'pg_dump --format=custom --file=runs.dump "$FILTERLAB_STORE"': POSTGRES,
        "tar -czf artifacts.tar.gz mlartifacts": POSTGRES,
        'pg_restore --clean --if-exists --dbname="$FILTERLAB_STORE" runs.dump': POSTGRES,
        'mlflow db upgrade "$FILTERLAB_STORE"': POSTGRES,
    },
    "docs/tracking.md": {
        "filterlab sync": SYNC,
        "filterlab sync ~/from_the_node/spool --to http://127.0.0.1:5000": SYNC,
        "filterlab sync --watch": SYNC,
        "filterlab doctor": "tests/doctor/test_examination.py",
        "filterlab promote": "tests/sweeps/test_sweep_runs.py",
        "filterlab lineage": "tests/sweeps/test_promotion.py",
    },
    "docs/storage.md": {
        "dvc push lecture/dvc.yaml": HERE,
        "filterlab train trainer.checkpoints=s3://bucket/prefix": "tests/training/test_bucket.py",
    },  # and all else, between two clones
    "docs/sweeps.md": {
        "filterlab train -m hydra/sweeper=optuna 'optimizer.lr=tag(log, interval(1e-3, 1))' "
        "'trainer.batch_size=choice(64,128,256)' hydra.sweeper.n_trials=30": "tests/sweeps/test_sweep_runs.py",
        "filterlab train -m experiment=NAME": "tests/config/test_options.py",
    },
}


@dataclass(frozen=True)
class Command:
    """text: as bash takes it, without the comment behind it; printed: its block's place on the page, None in running text."""

    text: str
    block: int | None


def commands(page: str) -> list[Command]:
    """Those of a page, in its order. In running text what begins like a command that a block has is a name, no command."""
    text = (ROOT / page).read_text()
    found: list[tuple[int, Command]] = []
    blocks = [each for each in BLOCK.finditer(text)]
    for number, block in enumerate(blocks):
        lines = [line[4:] for line in block[0].rstrip().splitlines()]
        if any("\n".join(lines).startswith(begins) for begins in NO_COMMANDS.get(page, [])):
            continue
        whole = re.sub(r"\\\n\s*", "", "\n".join(lines).split("\n\n# nginx")[0])
        for line in whole.splitlines():
            if said := re.sub(r"(^|\s+)#\s.*$", "", line).strip():
                found.append((block.start(), Command(" ".join(said.split()), number)))
    in_blocks = [command.text for _, command in found]
    spans = BLOCK.sub(lambda block: " " * len(block[0]), text)
    for span in re.finditer(r"`([^`]+)`", spans):
        said = " ".join(span[1].split())
        program, _, rest = said.partition(" ")
        if program in PROGRAMS and rest and not any(command.startswith(said) for command in [*in_blocks, *NAMES]):
            found.append((span.start(), Command(said, None)))
    ordered = sorted(found, key=lambda each: each[0])
    return [command for _, command in ordered]


def fresh(page: str) -> list[Command]:
    """Those that are run as they are printed; in running text, what the page has said before is said again, not done again."""
    listed, done, asked = ELSEWHERE.get(page, {}), set[str](), []
    for command in commands(page):
        if command.text not in listed and (command.block is not None or command.text not in done):
            asked.append(command)
        done.add(command.text)
    return asked
