"""The MLflow model of a run: exactly one, with the weights that the run has trained, compared by digest."""

import contextlib
import hashlib
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import mlflow
import mlflow.pyfunc
from mlflow.entities import LoggedModelOutput, LoggedModelStatus
from mlflow.models import Model, ModelSignature, infer_signature
from mlflow.utils.file_utils import local_file_uri_to_path

from filterlab.errors import TrackingError

GOOD = (LoggedModelStatus.READY, LoggedModelStatus.PENDING)
CODE = "code"  # folder in an experiment's of a local store: what its models, of all trials of a sweep say, have in common
TAG = "filterlab.sha256."  # and a file's name: of the model and of its run


class LoggedModel:
    """Of one run.

    Args:
        experiment: id of the run's.
        digests: SHA-256 by name of the files that make the model.
    """

    def __init__(self, client: mlflow.MlflowClient, *, experiment: str, run_id: str, digests: Mapping[str, str]):
        self.client, self.experiment, self.run_id, self.digests = client, experiment, run_id, digests
        self.tags = {f"{TAG}{name}": digest for name, digest in digests.items()}

    def log(self, **given: Any) -> None:
        """Log the model once: what an earlier attempt has begun is gone on with, and any other is deleted.

        Args:
            given: what `fill` takes.

        Raises:
            TrackingError: a file has not the digest that it should have.
        """
        mine = None
        for found in self.found():
            if mine is None and found.status in GOOD and self.tags.items() <= found.tags.items():
                mine = found
            else:
                self.client.delete_logged_model(found.model_id)
        if mine is None:
            mine = self.client.create_logged_model(
                self.experiment, name="model", source_run_id=self.run_id, model_type="pyfunc", tags=self.tags
            )
        if mine.status != LoggedModelStatus.READY:
            self.fill(mine, **given)
        outputs = self.client.get_run(self.run_id).outputs
        if mine.model_id not in [output.model_id for output in outputs.model_outputs]:
            self.client.log_outputs(self.run_id, [LoggedModelOutput(mine.model_id, step=0)])

    def fill(
        self,
        made: Any,
        *,
        folder: str,
        kept: Mapping[str, Path],
        loader: str,
        code: list[str],
        example: Any,
        output: Any,
        requirements: list[str],
        metadata: Mapping[str, Any],
    ) -> None:
        """kept: the spool's own files by name, which a store on the same disk gets as links."""
        # As Model.log does, which would also load the model, and torch with it, to try the example: `output` shows it was tried.
        here = made.artifact_location.startswith("file:")
        arrived = Path(local_file_uri_to_path(made.artifact_location) if here else "")
        try:
            with tempfile.TemporaryDirectory() as scratch:
                local = Path(scratch) / "model"
                described = Model(run_id=self.run_id, model_id=made.model_id, artifact_path=made.artifact_location)
                mlflow.pyfunc.save_model(
                    local,
                    mlflow_model=described,
                    loader_module=loader,
                    data_path=folder,
                    code_paths=code,
                    # Of inputs a signature names one type, and MLflow then refuses any other before the model sees it.
                    signature=ModelSignature(outputs=infer_signature(example, output).outputs),
                    metadata=dict(metadata),
                    input_example=example,
                    pip_requirements=requirements,
                )
                data = described.flavors["python_function"]["data"]
                self.compare(local / data, f"the copy of {folder}")
                if here:  # what a sender that was killed left may be linked already: written over, the run's own would be too
                    shutil.rmtree(arrived, ignore_errors=True)
                self.client.log_model_artifacts(made.model_id, str(local))
            if here:
                self.compare(arrived / data, f"what arrived in {arrived}")
                for name, own in kept.items():
                    link(own, arrived / data / name)
                for path in code:
                    share(arrived / "code" / Path(path).name, arrived.parents[2] / CODE)
        except TrackingError:
            self.client.delete_logged_model(made.model_id)
            raise
        self.client.finalize_logged_model(made.model_id, "READY")

    def compare(self, folder: Path, what: str) -> None:
        for name, digest in self.digests.items():
            with (folder / name).open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
            if found != digest:
                raise TrackingError(
                    f"run {self.run_id} has trained the {name} with the SHA-256 {digest}, but {what} has one with {found}: "
                    "another training, or program, has written to it"
                )

    def check(self) -> None:
        """Raises TrackingError where the run has not exactly this model."""
        found = self.found()
        if [model.status for model in found] != [LoggedModelStatus.READY] or not self.tags.items() <= found[0].tags.items():
            states = ", ".join(f"{model.model_id} {model.status.value}" for model in found) or "none"
            raise TrackingError(
                f"run {self.run_id} should have one model, READY and with its own weights' digests; it has {states}"
            )

    def found(self) -> list[Any]:
        return list(self.client.search_logged_models([self.experiment], f"source_run_id = '{self.run_id}'"))


def link(own: Path, copy: Path) -> None:
    """Make a copy another name of the file itself, where both are on one disk."""
    new = copy.with_name(f".{copy.name}")
    if copy.samefile(own):  # to rename one name over another of the same file does nothing, and leaves both
        return
    new.unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # another disk, or one without links: it stays a copy
        new.hardlink_to(own)
        new.replace(copy)


def share(copy: Path, folder: Path) -> None:
    """Make it another name of the file of the same content in `folder`, which it becomes where there is none."""
    content = copy.read_bytes()
    shared = folder / hashlib.sha256(content).hexdigest()
    with contextlib.suppress(OSError):  # a disk without links: it stays a copy
        folder.mkdir(exist_ok=True)
        with contextlib.suppress(FileExistsError):
            shared.hardlink_to(copy)
        if shared.read_bytes() == content:
            link(shared, copy)
