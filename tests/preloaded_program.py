"""python, filterlab or dvc, as tests find them: see preloaded.py, which writes where the real ones are for REAL."""

# pathlib takes longer to import than all the rest:
# ruff: noqa: PTH109, PTH110, PTH118, PTH119, PTH120, PTH208
import json
import os
import resource
import signal
import socket
import sys
import time

BESIDE = "REAL"
PATIENCE = 120.0  # seconds until a server must be there
SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGCONT]
SUBMITIT = "submitit.core._submit"  # a job of SLURM
LOKY = "joblib.externals.loky.backend.popen_loky_posix"


def main() -> None:
    name = os.path.basename(sys.argv[0])
    program, module, words, safe = name, "", sys.argv, bool(os.environ.get("PYTHONSAFEPATH"))
    unbuffered = bool(os.environ.get("PYTHONUNBUFFERED"))
    if name.startswith("python"):
        program, rest = "python", sys.argv[1:]
        while rest[:1] in (["-P"], ["-u"]):
            safe, unbuffered, rest = safe or rest[0] == "-P", unbuffered or rest[0] == "-u", rest[1:]
        if rest[:1] == ["-m"]:
            module, words = rest[1], rest[1:]
    elsewhere = {
        "filterlab.tracking.preloaded": "mlflow",
        "uvicorn": "mlflow",
        LOKY: "filterlab",
        SUBMITIT: "filterlab",
        "pytest": "filterlab",
        "ipykernel_launcher": "filterlab",
    }
    server = elsewhere.get(module, "")
    if not server and (module or name).partition(".")[0] in ("filterlab", "mlflow", "dvc"):
        server = (module or name).partition(".")[0]
    if server:
        ask(server, program=program, module=module, words=words, safe=safe, unbuffered=unbuffered)
    real = os.path.join(BESIDE, name)
    os.execv(real, [real, *sys.argv[1:]])


def ask(server: str, **what: object) -> None:
    """Returns where the server refuses."""
    files = [int(file) for file in os.listdir("/proc/self/fd")]
    files = [file for file in files if os.path.exists(f"/proc/self/fd/{file}")]
    place = os.path.dirname(os.path.dirname(os.path.realpath(sys.argv[0])))
    connection = connect(os.path.join(place, f"{server}.socket"))
    if connection is None:
        return
    ignored = [number for number in SIGNALS if signal.getsignal(number) == signal.SIG_IGN]
    umask = os.umask(0o077)
    os.umask(umask)
    limits = {name: getattr(resource, name) for name in dir(resource) if name.startswith("RLIMIT_")}
    what |= {
        "python": os.path.join(place, "bin", "python"),
        "folder": os.getcwd(),
        "environment": dict(os.environ),
        "umask": umask,
    }
    what |= {"limits": {number: resource.getrlimit(number) for number in limits.values()}, "files": files, "ignored": ignored}
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)  # none is lost between here and the other
    socket.send_fds(connection, [json.dumps(what).encode()], files)
    if connection.recv(16) != b"yes":
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        return connection.close()

    def pass_on(number: int, _: object) -> None:
        connection.send(str(number).encode())

    for number in {*SIGNALS} - {*ignored}:
        signal.signal(number, pass_on)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    for file in files:
        os.close(file)
    said = connection.recv(16)
    end = os.waitstatus_to_exitcode(int(said)) if said else 70
    if end < 0:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if -end not in (signal.SIGKILL, signal.SIGSTOP):
            signal.signal(-end, signal.SIG_DFL)
        os.kill(os.getpid(), -end)
    os._exit(end)


def connect(address: str) -> socket.socket | None:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    last = time.monotonic() + PATIENCE
    while time.monotonic() < last:
        try:
            connection.connect(address)
            return connection
        except (FileNotFoundError, ConnectionRefusedError, BlockingIOError):
            time.sleep(0.05)
    return None


if __name__ == "__main__":
    main()
