"""What the stages tell MLflow of a configuration."""

from pathlib import Path

import pytest

from filterlab.config import compose
from filterlab.errors import DataError
from filterlab.runs import logging

CONF = Path(__file__).parents[2] / "conf"


def test_parameters_are_dotted_and_none_is_too_long() -> None:
    found = logging.parameters(compose.compose(CONF, ["model=lenet5", "optimizer.lr=0.25"]))
    assert found["optimizer.lr"] == 0.25 and found["model.name"] == "lenet5" and found["seed"] == 0
    assert [name for name in found if name.startswith(("data.mirrors", "data.files", "data.classes"))] == []
    assert not any(isinstance(leaf, dict) for leaf in found.values())
    assert all(len(str(leaf)) <= 6000 for leaf in found.values()), "MLflow takes no longer ones"


def test_without_a_record_of_a_run_nothing_is_resumed(tmp_path: Path) -> None:
    with logging.resumed(compose.compose(CONF, []), tmp_path) as run:
        run.log_metrics({"test/accuracy": 1.0})
    assert (run.id, list(tmp_path.iterdir())) == ("", [])


def test_a_damaged_record_ends_before_anything_is_logged(tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    (tmp_path / "results/run.json").write_text('{"run_id": "a')
    with pytest.raises(DataError, match=r"results/run\.json is damaged: .*; remove it, and the run is found"):
        logging.resumed(compose.compose(CONF, []), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["results"], "no store was made"
