"""Processes of Python that are forked from one which has imported torch, Lightning and mlflow already, and know no better.

To start `filterlab` takes 5 to 8 s of processor, nearly all of it for what it imports from other packages. A test's folder of
programs (`programs`) has a `python`, `filterlab` and `dvc` that hand what they were given (words, variables, folder, open files,
limits) to a server; that forks, and the child runs the module anew, by its own sys.path. filterlab itself is imported by no
server. Signals and exit codes pass through. What another interpreter would change (PYTHONHASHSEED, a locale, threads, coverage)
is run by a new one, and so is any other module.

    python -P tests/preloaded.py NAME FOLDER    the server of that name (SERVERS), until nobody holds a connection to it
"""

import atexit
import gc
import importlib
import io
import json
import os
import resource
import runpy
import selectors
import signal
import socket
import subprocess
import sys
import threading
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Any

SERVERS = {
    "filterlab": """
        torch torch._dynamo pytorch_lightning pytorch_lightning.callbacks lightning_fabric hydra hydra.compose hydra.utils
        hydra.core.hydra_config omegaconf numpy scipy.stats safetensors.torch sklearn.datasets matplotlib.pyplot jinja2
        matplotlib.backends.backend_agg PIL.Image PIL.PngImagePlugin PIL.BmpImagePlugin PIL.GifImagePlugin PIL.JpegImagePlugin
        PIL.PpmImagePlugin safetensors.numpy
        rich.console rich.progress psutil filelock requests yaml ruamel.yaml sqlite3 optuna joblib submitit
    """,
    "mlflow": """
        mlflow mlflow.models mlflow.pyfunc mlflow.tracking.client mlflow.store.tracking.sqlalchemy_store mlflow.store.db.utils
        mlflow.store.model_registry.sqlalchemy_store mlflow.utils.requirements_utils alembic.command numpy pandas PIL.Image psutil
        fastapi flask flask_cors graphene aiohttp
    """,
    "dvc": """
        dvc.cli dvc.cli.parser dvc.repo dvc.stage dvc.output dvc.fs dvc.scm dvc.dvcfile dvc.commands.repro dvc.repo.reproduce
        dvc.repo.index dvc.repo.experiments dvc_data.hashfile.build networkx pathspec
    """,
}
# Read when something is imported, or by the interpreter: where they are not the server's, a new interpreter it is.
READ_EARLY = ("PYTHON", "OMP_", "MKL_", "OPENBLAS_", "COVERAGE", "LC_", "LANG", "LD_", "CUDA_", "MPL", "XDG_", "HOME", "TMPDIR")
NOT_READ = {"PYTHONPATH", "PYTHONSAFEPATH", "PYTHONWARNINGS"}  # but by us
PATIENCE = 300.0  # seconds that a server waits for the first who wants something


def read_early(environment: dict[str, str]) -> dict[str, str]:
    # What an interpreter takes where it is told nothing: SLURM tells its jobs of /tmp, and joblib tells each library of threads.
    said = {"TMPDIR": "/tmp"} | environment
    if threads := environment.get("OMP_NUM_THREADS"):
        said = {"MKL_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads} | said
    return {name: text for name, text in said.items() if name.startswith(READ_EARLY) and name not in NOT_READ}


def programs(folder: Path) -> Path:
    """A folder of programs in `folder`: those beside this interpreter, three of them ours. Starts the servers, once."""
    made = folder / "bin"
    if not made.exists():
        new = folder / "making"
        new.mkdir(parents=True)
        for program in Path(sys.executable).parent.iterdir():
            if program.name not in ("python", "python3", f"python3.{sys.version_info.minor}", "filterlab", "dvc"):
                (new / program.name).symlink_to(program)
        text = Path(__file__).with_name("preloaded_program.py").read_text()
        (new / "python").write_text(f"#!{sys.executable} -IS\n{text}".replace("REAL", str(Path(sys.executable).parent)))
        (new / "python").chmod(0o755)
        for name in ("python3", "filterlab", "dvc"):
            (new / name).hardlink_to(new / "python")
        environment = {name: text for name, text in os.environ.items() if name not in NOT_READ}
        for name in SERVERS:
            with (folder / f"{name}.log").open("wb") as log:
                command = [sys.executable, "-P", __file__, name, str(folder)]
                subprocess.run(command, cwd="/", env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=True)
        new.rename(made)
    return made


def hold(folder: Path) -> list[socket.socket]:
    """Connections to the servers that keep them alive."""
    return [connect(folder, name) for name in SERVERS]


def connect(folder: Path, name: str) -> socket.socket:
    import preloaded_program  # here, for the servers have no tests/ on their path

    connection = preloaded_program.connect(str(folder / f"{name}.socket"))
    assert connection is not None, (folder / f"{name}.log").read_text()
    return connection


class Server:
    def __init__(self, listening: socket.socket, early: dict[str, str]) -> None:
        self.early = early
        self.poll = selectors.DefaultSelector()
        self.listening = listening
        self.poll.register(listening, selectors.EVENT_READ, None)
        self.held: set[socket.socket] = set()
        self.running: dict[int, tuple[int, socket.socket]] = {}  # pid -> its pidfd, and whose it is

    def serve(self) -> tuple[dict[str, Any], list[int]] | None:
        """In a child, what it shall run, and its open files; None: nobody needs the server any longer."""
        served = False
        while self.held or self.running or not served:
            if not (ready := self.poll.select(None if served else PATIENCE)):
                return None
            for key, _ in ready:
                if key.fileobj is self.listening:
                    connection, _ = self.listening.accept()
                    served = True
                    self.held.add(connection)
                    self.poll.register(connection, selectors.EVENT_READ, None)
                elif isinstance(key.fileobj, int):
                    self.end(key.data)
                elif key.data is None:
                    if (asked := self.asked(key.fileobj)) is not None:
                        return asked
                else:
                    self.pass_on(key.fileobj, key.data)
        return None

    def asked(self, connection: socket.socket) -> tuple[dict[str, Any], list[int]] | None:
        said, files, *_ = socket.recv_fds(connection, 1 << 20, 250)
        if not said:
            self.forget(connection)
            return None
        given = json.loads(said)
        if different := {name for name, _ in read_early(given["environment"]).items() ^ self.early.items()}:
            print("a new interpreter for", given["words"], "because of", *sorted(different), flush=True)
            connection.send(b"no")
            pid = 0
        else:
            print(given["words"], flush=True)
            gc.freeze()
            if (pid := os.fork()) == 0:
                return given, files
        for file in files:
            os.close(file)
        if pid:
            pidfd = os.pidfd_open(pid)
            self.running[pid] = pidfd, connection
            self.poll.modify(connection, selectors.EVENT_READ, pid)
            self.poll.register(pidfd, selectors.EVENT_READ, pid)
            with suppress(OSError):
                connection.send(b"yes")
        return None

    def pass_on(self, connection: socket.socket, pid: int) -> None:
        """A signal; where whoever waits for the child has been killed, so is the child."""
        said = connection.recv(16)
        os.kill(pid, int(said) if said else signal.SIGKILL)
        if not said:
            self.forget(connection)

    def end(self, pid: int) -> None:
        pidfd, connection = self.running.pop(pid)
        _, status, used = os.wait4(pid, 0)
        print(pid, f"{used.ru_utime + used.ru_stime:.2f} s of processor", flush=True)
        self.poll.unregister(pidfd)
        os.close(pidfd)
        if connection in self.held:
            with suppress(OSError):
                connection.send(str(status).encode())
            self.forget(connection)

    def forget(self, connection: socket.socket) -> None:
        self.poll.unregister(connection)
        self.held.discard(connection)
        connection.close()


def become(given: dict[str, Any], files: list[int], *, given_at_start: dict[str, str]) -> None:
    """What the process was asked to be. Variables that imports have set stay, as in a process that imports by itself."""
    high = [os.dup2(file, 1000 + number) for number, file in enumerate(files)]
    os.closerange(0, 1000)
    for file, number in zip(high, given["files"], strict=True):
        os.dup2(file, number, inheritable=True)
    os.closerange(1000, 1000 + len(high))
    for number, limits in given["limits"].items():
        resource.setrlimit(int(number), limits)
    os.umask(given["umask"])
    os.chdir(given["folder"])
    for name in given_at_start:
        os.environ.pop(name, None)
    os.environ.update(given["environment"])
    for number in given["ignored"]:
        signal.signal(number, signal.SIG_IGN)
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        setattr(
            sys, name, stream(number, getattr(sys, name), unbuffered=given["unbuffered"]) if number in given["files"] else None
        )
        setattr(sys, f"__{name}__", getattr(sys, name))
    sys.executable = given["python"]
    import multiprocessing.spawn

    multiprocessing.set_executable(sys.executable)
    before = [] if given["safe"] else [given["folder"] if given["program"] == "python" else str(Path(given["words"][0]).parent)]
    if given_options := os.environ.get("PYTHONWARNINGS"):
        warnings._processoptions(given_options.split(","))
    if "PYTHONPATH" in os.environ:
        before += os.environ["PYTHONPATH"].split(os.pathsep)
    sys.path[:0] = before
    sys.argv = given["words"]
    if "mlflow" in sys.modules:  # which reads MLFLOW_LOGGING_LEVEL, and finds stderr, when it is imported
        sys.modules["mlflow.utils.logging_utils"]._configure_mlflow_loggers("mlflow")
    if numpy := sys.modules.get("numpy"):
        numpy.random.seed()  # as it is in a new process: from the system


def stream(number: int, like: io.TextIOWrapper, *, unbuffered: bool) -> io.TextIOWrapper:
    """As Python opens it at its start; encoding and errors are those of the server's own."""
    mode, buffering = ("wb", 0 if unbuffered else -1) if number else ("rb", -1)
    raw = open(number, mode, buffering=buffering, closefd=False)  # noqa: SIM115
    return io.TextIOWrapper(
        raw,
        encoding=like.encoding,
        errors=like.errors,
        newline="\n" if number else None,
        line_buffering=not unbuffered and (number == 2 or os.isatty(number)),
        write_through=unbuffered,
    )


def main(name: str, folder: Path) -> None:
    if os.fork():
        os._exit(0)  # nobody's child: it outlives the worker that started it
    os.setsid()
    environment = dict(os.environ)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for module in SERVERS[name].split():
            importlib.import_module(module)
    gc.collect()
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listening.bind(str(folder / f"{name}.new"))
    listening.listen(64)
    threads = {(task / "comm").read_text().strip() for task in Path("/proc/self/task").iterdir()}
    assert threading.active_count() == 1 and threads <= {"python", "jemalloc_bg_thd"}, threads  # a fork has the one that forks
    (folder / f"{name}.new").rename(folder / f"{name}.socket")
    asked = Server(listening, read_early(environment)).serve()
    if asked is None:
        return
    listening.close()
    given, files = asked
    become(given, files, given_at_start=environment)
    code: object = 0
    try:
        if given["program"] == "python":
            runpy._run_module_as_main(given["module"])  # what `python -m` does
        else:
            sys.modules["__main__"].__file__ = given["words"][0]
            code = importlib.import_module(f"{given['program']}.cli").main()
    except SystemExit as exit:
        code = exit.code
    except BaseException as error:
        sys.excepthook(*sys.exc_info())
        code = -signal.SIGINT if isinstance(error, KeyboardInterrupt) else 1
    end(code)


def end(code: object) -> None:
    """As Python ends, but that nothing is taken apart: that takes a second when so much is imported."""
    if isinstance(code, str):
        print(code, file=sys.stderr)
    threading._shutdown()
    atexit._run_exitfuncs()
    try:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
    except OSError:
        sys.exit(code)  # Python has words of its own for it
    if code == -signal.SIGINT:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    os._exit(code & 0xFF if isinstance(code, int) else code is not None)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
