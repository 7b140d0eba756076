"""More GPUs than there are, or other processes than a training has: said before anything is computed."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from filterlab.data.datamodule import has_room
from filterlab.errors import UserError
from filterlab.stages.train import train
from filterlab.training import devices
from filterlab.training import fit as fitting
from filterlab.training.classifier import Classifier

DDP = ["trainer=ddp", "trainer.devices=2"]
SHELL = {"SLURM_JOB_ID": "7", "SLURM_NTASKS": "4", "SLURM_JOB_NAME": "sh"}  # of salloc -n 4
TASK = {**SHELL, "SLURM_STEP_NUM_TASKS": "4", "SLURM_PROCID": "2", "SLURM_LOCALID": "2"}  # of srun -n 4


@pytest.mark.parametrize(("given", "found"), [(["trainer=gpu"], 0), (DDP, 1), ([*DDP, "trainer.accelerator=gpu"], 1)])
def test_too_few_are_named(
    make_training: Callable, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, given: list[str], found: int
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: found)
    training = make_training(*given)
    asked = training.config.trainer
    expected = rf"accelerator is {asked.accelerator} and trainer.devices is {asked.devices}, but PyTorch finds {found} GPUs? here"
    for starts in (training, lambda folder: train(training.config, root=folder, out=folder)):
        with pytest.raises(UserError, match=expected + ": trainer=auto .* trainer=cpu"):
            starts(tmp_path)
    assert list(tmp_path.iterdir()) == [], "no run is begun"


@pytest.mark.parametrize(
    ("given", "found"),
    [
        (["trainer=auto"], 0),
        (["trainer=auto"], 1),
        (["trainer=gpu"], 1),
        (["trainer=gpu"], 4),
        (DDP, 0),  # processes on the CPU
        (DDP, 2),
        ([*DDP, "trainer.accelerator=cpu"], 1),
    ],
)
def test_enough(make_training: Callable, monkeypatch: pytest.MonkeyPatch, given: list[str], found: int) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: found)
    devices.check(make_training(*given).config.trainer)


@pytest.mark.parametrize("variables", [SHELL, TASK, {"LOCAL_RANK": "1"}], ids=["salloc", "srun", "rank"])
def test_on_one_device_the_processes_of_others_are_of_no_matter(
    make_training: Callable, bits_of: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]
) -> None:
    """Whatever an allocation is for, and whichever of srun's copies this is: it trains, to the same bits, and writes."""
    training = make_training("trainer.max_epochs=2")
    expected = bits_of(training(tmp_path / "alone"))
    for name, text in variables.items():
        monkeypatch.setenv(name, text)
    assert bits_of(training(tmp_path / "one of several")) == expected
    assert (tmp_path / "one of several/epoch_2.ckpt").exists()
    assert devices.is_main(training.config.trainer)


def test_copies_of_a_training_on_several_devices_are_refused(make_training: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each would start the others. The tasks that our launcher starts have their ranks."""
    settings = make_training(*DDP, "trainer.accelerator=cpu").config.trainer
    for name, text in TASK.items():
        monkeypatch.setenv(name, text)
    with pytest.raises(UserError, match=r"^srun started 4 copies of this command, .* \(trainer\.devices is 2\) starts its"):
        devices.check(settings)
    monkeypatch.setenv("LOCAL_RANK", "2")
    devices.check(settings)
    assert devices.started_by_slurm(settings) and not devices.is_main(settings)
    monkeypatch.delenv("SLURM_STEP_NUM_TASKS")  # a process that Lightning started, in a shell of salloc's
    assert not devices.started_by_slurm(settings)


def test_arguments_of_lightnings_trainer_in_the_environment_are_refused(
    make_training: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They would change the training, and nothing would show it."""
    monkeypatch.setenv("PL_TRAINER_LIMIT_TRAIN_BATCHES", "1")
    with pytest.raises(UserError, match="unset PL_TRAINER_LIMIT_TRAIN_BATCHES; what a training does is in the sections trainer"):
        devices.check(make_training().config.trainer)


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """card(capability, fault): there is a GPU, of which PyTorch is told so much."""

    def put(capability: tuple[int, int], fault: str = "") -> None:
        def zeros(*_: object, **__: object) -> None:
            if fault:
                raise RuntimeError(fault)

        found = {"init": None, "device_count": 1, "get_device_name": "Tesla", "get_device_capability": capability}
        for name, value in found.items():
            monkeypatch.setattr(torch.cuda, name, lambda *_, value=value: value)
        monkeypatch.setattr(torch.cuda, "get_arch_list", lambda: ["sm_75", "sm_90", "sm_120"])
        monkeypatch.setattr(torch, "zeros", zeros)

    return put


def test_a_card_that_this_pytorch_is_not_built_for_and_one_that_is_busy(make_training: Callable, card: Callable) -> None:
    settings = make_training("trainer=gpu").config.trainer
    card((6, 1))
    with pytest.raises(
        UserError, match=r"GPU 0 \(Tesla\) has compute capability 6\.1, .* built for sm_75 sm_90 sm_120: trainer=cpu"
    ):
        devices.check_gpus(settings)
    card((9, 0), "CUDA error: CUDA-capable device(s) is/are busy or unavailable\nCUDA kernel errors might be")
    with pytest.raises(UserError, match=r"GPU 0 \(Tesla\) can't be used: CUDA error: .* busy or unavailable; `nvidia-smi`"):
        devices.check_gpus(settings)
    card((12, 0))
    devices.check_gpus(settings)
    devices.check_gpus(make_training("trainer=cpu").config.trainer)


def test_what_a_card_alone_has_and_what_a_compiler_makes(
    make_training: Callable, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=r"trainer\.precision is tf32, which only GPUs have"):
        make_training("trainer=cpu", "trainer.precision=tf32")(tmp_path)
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(UserError, match=r"trainer.compile needs a C\+\+ compiler, and there is no no-such-compiler here"):
        make_training("trainer.compile=true")(tmp_path)
    monkeypatch.setenv("CXX", "true")
    monkeypatch.setattr("sysconfig.get_path", lambda kind: "/nowhere")
    with pytest.raises(UserError, match=r"trainer.compile needs Python's headers, and there is no /nowhere/Python\.h: apt-get"):
        make_training("trainer.compile=true")(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_driver_that_is_too_old_is_one_sentence(
    make_training: Callable, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The driver's library still counts its cards, by which Lightning would take one."""

    def init() -> None:
        raise RuntimeError("The NVIDIA driver on your system is too old (found version 12040). Please\nupdate")

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "init", init)
    for given in ("trainer=gpu", "trainer=auto"):
        with pytest.raises(
            UserError, match=r"^PyTorch can't use the GPU that is here: The NVIDIA driver .* train with trainer=cpu$"
        ):
            make_training(given)(tmp_path)
    devices.check_gpus(make_training("trainer=cpu").config.trainer)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 8 GiB"),
            "Tried to allocate 2.00 GiB",
        ),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), "cublasCreate"),
        (RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED"), "cuDNN error"),
        (RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported"), "out of memory"),
    ],
)
def test_no_memory_left_names_the_size_to_try(
    make_training: Callable, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, error: Exception, said: str
) -> None:
    def step(*_: object) -> None:
        raise error

    monkeypatch.setattr(Classifier, "training_step", step)
    expected = rf"no memory for a step of 64 images of 1x8x8 [^\n]*{said}[^\n]*\): .* trainer\.batch_size=32$"
    with pytest.raises(UserError, match=expected):
        make_training("trainer.batch_size=64")(tmp_path)


def test_float32_is_float32_within_a_training_alone(
    make_training: Callable, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """PyTorch's own choice is TF32 for convolutions on a GPU."""
    seen = []
    step = Classifier.training_step

    def watched(*given: Any) -> torch.Tensor:
        seen.append(rounded())
        return step(*given)

    def rounded() -> list[bool]:
        return [place.allow_tf32 for place in fitting.MULTIPLIES]

    monkeypatch.setattr(Classifier, "training_step", watched)
    before = rounded()
    make_training("trainer.max_epochs=1")(tmp_path)
    assert {*map(tuple, seen)} == {(False, False)} and rounded() == before == [False, True]


def test_tf32_is_chosen_so_that_lightning_may_ask_for_it() -> None:
    """Its set-up of a card does, by the older of PyTorch's two names, which fails where the newer one was used."""
    with fitting.own_algorithms():
        fitting.allow_tf32([True, True])
        assert torch.get_float32_matmul_precision() == "high" and torch.backends.cudnn.conv.fp32_precision == "tf32"
        fitting.allow_tf32([False, False])
        assert torch.get_float32_matmul_precision() == "highest" and torch.backends.cudnn.conv.fp32_precision != "tf32"


def test_compiled_it_learns_the_same_under_the_same_names(
    make_training: Callable, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """(What is traced runs as it is: to make machine code of it takes half a minute.)"""
    compile_as_chosen, asked = torch.compile, []

    def compile_for_a_test(function: Callable, **how: Any) -> Callable:
        asked.append(how)
        return compile_as_chosen(function, backend="eager", dynamic=how["dynamic"])

    monkeypatch.setattr(torch, "compile", compile_for_a_test)
    plain, compiled = (
        make_training("trainer.max_epochs=1", "trainer.batch_size=50", f"trainer.compile={how}")(tmp_path / how)
        for how in ("false", "true")
    )
    expected = plain.predictor.state_dict()
    found = compiled.predictor.state_dict()
    assert [*found] == [*expected] and asked == [{"mode": "reduce-overhead", "dynamic": False}]
    assert all(torch.allclose(found[name], expected[name], atol=1e-4) for name in expected)
    assert compiled.epochs[1].metrics == pytest.approx(plain.epochs[1].metrics, rel=1e-3)


def test_half_of_a_card_is_for_the_images(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (20, 100))
    assert [has_room(torch.device("cuda"), size) for size in (10, 11)] == [True, False]
    assert has_room(torch.device("cpu"), 1 << 60)


def test_an_operation_that_does_not_repeat_on_a_card_is_said_unless_it_does_here() -> None:
    """PyTorch's words, which it has on a GPU alone."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        fitting.quiet()
        for operation in ("max_pool2d_with_indices_backward_cuda", "adaptive_max_pool2d_backward_cuda", "cumsum_cuda_kernel"):
            warnings.warn(f"{operation} does not have a deterministic implementation, but you set", UserWarning, stacklevel=1)
    assert [str(each.message).split()[0] for each in said] == ["cumsum_cuda_kernel"]
