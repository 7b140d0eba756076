"""A folder of a training's own."""

import threading
from pathlib import Path

import pytest

from filterlab.config import compose
from filterlab.errors import UserError
from filterlab.runs import folder as run_folder

CONF = Path(__file__).parents[2] / "conf"


def test_all_that_start_in_the_same_second_get_a_folder_each(tmp_path: Path) -> None:
    made: list[Path] = []
    together = threading.Barrier(32)

    def start() -> None:
        together.wait()
        made.append(run_folder.make(tmp_path / "runs"))

    threads = [threading.Thread(target=start) for _ in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(made)) == 32 == len(list((tmp_path / "runs").iterdir()))


def test_a_folder_that_holds_a_training_is_refused(tmp_path: Path) -> None:
    run_folder.check(tmp_path, "seed: 0\n")
    (tmp_path / "results").mkdir()
    (tmp_path / "results/config.yaml").write_text("seed: 0\n")
    run_folder.check(tmp_path, "seed: 0\n")  # it broke off
    with pytest.raises(UserError, match=rf"^{tmp_path} holds another training's configuration: .* Choose another hydra.run.dir"):
        run_folder.check(tmp_path, "seed: 1\n")
    (tmp_path / "results/run.json").write_text("{}")
    with pytest.raises(UserError, match=rf"^{tmp_path} holds this very training, finished"):
        run_folder.check(tmp_path, "seed: 0\n")


def test_one_process_at_a_time(tmp_path: Path) -> None:
    refused = pytest.raises(UserError, match=rf"^another training writes to {tmp_path} ")
    with run_folder.alone(tmp_path), refused, run_folder.alone(tmp_path):
        pytest.fail("it is held")
    with run_folder.alone(tmp_path):
        pass


def test_a_folder_that_is_named_is_looked_at_before_hydra_writes_there(tmp_path: Path) -> None:
    config = compose.compose(CONF, [])
    new = run_folder.overrides_for(tmp_path / "runs", config, ["seed=0"])
    (made,) = (tmp_path / "runs").iterdir()
    assert new == ["hydra.output_subdir=null", f"hydra.run.dir='{made}'"]
    (made / "results").mkdir()
    (made / "results/config.yaml").write_text("seed: 7\n")
    with pytest.raises(UserError, match=f"^{made} holds another training's configuration"):
        run_folder.overrides_for(tmp_path / "runs", config, [f"hydra.run.dir={made}"])
    for other in (f"{tmp_path}/runs/other", f"{tmp_path.parent}/elsewhere"):
        assert run_folder.overrides_for(tmp_path / "runs", config, [f"hydra.run.dir={other}"]) == ["hydra.output_subdir=null"]


@pytest.mark.parametrize("place", [".", "runs", "data/raw", "src/x", "runs/../models"])
def test_a_folder_of_stages_is_none_of_a_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    """DVC deletes what is there before a stage runs."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=f"^hydra.run.dir is {place}: in the repository the folder of a training lies below"):
        run_folder.overrides_for(Path("runs"), compose.compose(CONF, []), [f"hydra.run.dir={place}"])
