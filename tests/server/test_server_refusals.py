"""What `filterlab server` refuses before anything is started, and what it starts; nothing is started here."""

import os
import socket
import stat
import sys
from collections.abc import Callable
from configparser import ConfigParser
from pathlib import Path
from typing import Any

import pytest

from filterlab.errors import TrackingError, UserError
from filterlab.tracking import server


class Started(Exception):
    """The process would have become this."""

    def __init__(self, program: str, command: list[str], environment: dict[str, str]):
        self.program, self.command, self.environment = program, command, environment


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, free_port: Callable[[], int]) -> Callable[..., Started]:
    """What serve would become, on a SQLite database unless told otherwise."""
    for name in (server.STORE, server.PASSWORD, "MLFLOW_FLASK_SERVER_SECRET_KEY", "MLFLOW_SQLALCHEMYSTORE_POOL_SIZE"):
        monkeypatch.delenv(name, raising=False)

    def become(program: str, command: list[str], environment: dict[str, str]) -> None:
        raise Started(program, command, environment)

    monkeypatch.setattr(os, "execve", become)

    def call(**arguments: Any) -> Started:
        given = {"store": f"sqlite:///{tmp_path / 'team.db'}", "artifacts": "kept", "host": "127.0.0.1", "port": free_port()}
        with pytest.raises(Started) as caught:
            server.serve(tmp_path, **given | {"auth": False, "allowed_hosts": ""} | arguments)
        return caught.value

    return call


def after(command: list[str], option: str) -> str:
    return command[command.index(option) + 1]


def test_on_loopback_it_asks_nobody(serve, tmp_path: Path, capfd: pytest.CaptureFixture) -> None:
    started = serve()
    assert started.program == sys.executable and started.command[1:4] == ["-m", "mlflow", "server"]
    assert after(started.command, "--host") == "127.0.0.1" and after(started.command, "--workers") == "1"
    assert after(started.command, "--artifacts-destination") == (tmp_path / "kept").as_uri() and (tmp_path / "kept").is_dir()
    assert "--app-name" not in started.command and "--allowed-hosts" not in started.command
    assert started.environment["MLFLOW_BACKEND_STORE_URI"] == f"sqlite:///{tmp_path / 'team.db'}"
    assert started.environment["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] == "false"
    assert started.environment["MLFLOW_DISABLE_TELEMETRY"] == "true"
    assert started.environment["MLFLOW_SQLALCHEMYSTORE_POOL_SIZE"] == "45"
    assert not (tmp_path / server.PRIVATE).exists()
    assert capfd.readouterr().out.startswith(f"MLflow on sqlite:///{tmp_path / 'team.db'}: http://127.0.0.1:")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7", "mlflow.example.org", ""])
def test_elsewhere_it_must_know_by_which_names_it_is_called(serve, host: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"can be reached from other machines: say with --allowed-hosts") as caught:
        server.serve(tmp_path, store="sqlite:///x.db", artifacts="kept", host=host, port=5000, auth=False, allowed_hosts="")
    assert caught.value.exit_code == 2 and list(tmp_path.iterdir()) == []


def test_elsewhere_it_asks_for_a_password_whatever_it_was_told(
    serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(server, "check_address", lambda host, port: None)  # nothing is to listen elsewhere, not even for a moment
    monkeypatch.setattr(server, "reach", lambda url: False)
    url = "postgresql://team:50%25+secret@db.example.org:5432/runs"
    started = serve(store=url, host="0.0.0.0", auth=False, allowed_hosts="lab.example.org, 192.0.2.7")
    assert after(started.command, "--app-name") == "basic-auth"
    hosts = after(started.command, "--allowed-hosts").split(",")
    assert {"lab.example.org", "lab.example.org:*", "192.0.2.7", "192.0.2.7:*", "127.0.0.1:*"} <= set(hosts) and "*" not in hosts
    assert {"https://lab.example.org", "http://192.0.2.7:*"} <= set(after(started.command, "--cors-allowed-origins").split(","))

    folder = tmp_path / server.PRIVATE
    kept = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    assert kept == dict.fromkeys((".gitignore", "auth.ini", "secret_key", "admin_password"), 0o600)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700 and (folder / ".gitignore").read_text() == "*\n"
    settings = ConfigParser()
    settings.read(started.environment["MLFLOW_AUTH_CONFIG_PATH"])
    assert settings["mlflow"]["database_uri"] == started.environment["MLFLOW_BACKEND_STORE_URI"] == url
    password = (folder / "admin_password").read_text()
    assert started.environment[server.PASSWORD] == password and len(password) >= server.SHORTEST
    assert started.environment["MLFLOW_FLASK_SERVER_SECRET_KEY"] == (folder / "secret_key").read_text()

    out, err = capfd.readouterr()
    assert f"The administrator is `admin`, with the password in {folder / 'admin_password'}\n" in out
    assert "postgresql://team:***@db.example.org:5432/runs" in out
    for secret in ("secret@", password, (folder / "secret_key").read_text()):
        assert secret not in out + err + " ".join(started.command)

    again = serve(store=url, host="0.0.0.0", auth=False, allowed_hosts="lab.example.org")
    assert again.environment[server.PASSWORD] == password, "a second start before the database has users keeps the password"


def test_the_administrators_first_password_can_be_given(serve, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd) -> None:
    monkeypatch.setenv(server.PASSWORD, "short")
    with pytest.raises(UserError, match=rf"the password in {server.PASSWORD} has 5 characters; MLflow wants at least 12"):
        serve(auth=True)
    monkeypatch.setenv(server.PASSWORD, "twelve or more")
    assert serve(auth=True).environment[server.PASSWORD] == "twelve or more"
    assert not (tmp_path / server.PRIVATE / "admin_password").exists()
    assert f"`admin`, with the password in the variable {server.PASSWORD}" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("store", "said"),
    [
        ("", r"no database is named: set FILTERLAB_STORE=postgresql://"),
        ("runs", r"URL can't be read; it has the form dialect://"),
        ("postgresql://team:secret@db:port/runs", r"URL can't be read"),
        ("postgres://team:secret@db/runs", r"MLflow keeps runs in postgresql, mysql, mssql, sqlite, not in 'postgres'"),
        ("postgresql://team:sec@ret@db/runs", r"one @ too many"),
        ("postgresql://team:sec@r/et@db/runs", r"one @ too many"),
        ("postgresql://team:secret@db", r"names no database"),
        ("mysql+nothing://team:secret@db/runs", r"mysql\+nothing://team:\*\*\*@db/runs needs a driver that is not installed"),
        ("postgresql+psycopg2cffi://team:secret@db/runs", r"needs a driver that is not installed"),
    ],
)
def test_a_url_that_is_wrong_is_not_repeated(serve, store: str, said: str) -> None:
    with pytest.raises(UserError, match=said) as caught:
        serve(store=store)
    assert caught.value.exit_code == 2 and "team:sec" not in str(caught.value) and "ret@" not in str(caught.value)


def test_the_environment_names_the_database(serve, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(server.STORE, f"sqlite:///{tmp_path / 'other.db'}")
    assert serve(store="").environment["MLFLOW_BACKEND_STORE_URI"].endswith("/other.db")


def test_a_database_that_cannot_be_reached_is_one_error(serve, free_port: Callable[[], int]) -> None:
    port = free_port()
    with pytest.raises(TrackingError) as caught:
        serve(store=f"postgresql://team:hunter2hunter2@127.0.0.1:{port}/runs?password=also+secret")
    said = str(caught.value)
    assert said.startswith(f"the database postgresql://team:***@127.0.0.1:{port}/runs can't be used: ") and "refused" in said
    assert "hunter2" not in said and "also" not in said and "\n" not in said and caught.value.exit_code == 4


def test_a_folder_that_is_no_database_is_one_error(serve, tmp_path: Path) -> None:
    with pytest.raises(TrackingError, match=r"can't be used: unable to open database file"):
        serve(store=f"sqlite:///{tmp_path}")


def test_a_port_in_use_is_said_at_once(serve) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UserError, match=rf"127\.0\.0\.1 can't be listened on at port {port}: .*in use"):
            serve(port=port)
    with pytest.raises(UserError, match=r"a port is a number from 1 to 65535, not 70000"):
        serve(port=70000)


def test_names_are_names(serve) -> None:
    with pytest.raises(UserError, match=r"takes names or addresses, e\.g\. mlflow\.example\.org, not https://lab"):
        serve(allowed_hosts="https://lab.example.org")


def test_artifacts_on_s3_need_its_client(serve, monkeypatch: pytest.MonkeyPatch) -> None:
    assert after(serve(artifacts="s3://team/runs").command, "--artifacts-destination") == "s3://team/runs"
    monkeypatch.setattr(server.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"artifacts in s3://team/runs need boto3"):
        serve(artifacts="s3://team/runs")
