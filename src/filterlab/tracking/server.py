"""MLflow server for a team: runs in a database, artifacts through the server, a password from other machines."""

import configparser
import importlib.util
import io
import ipaddress
import os
import secrets
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from filterlab import extras
from filterlab.errors import TrackingError, UserError

if TYPE_CHECKING:
    from sqlalchemy.engine import URL

STORE = "FILTERLAB_STORE"
ADMINISTRATOR = "admin"
PASSWORD = "MLFLOW_AUTH_ADMIN_PASSWORD"
SHORTEST = 12  # characters of a password that MLflow accepts
DATABASES = ["postgresql", "mysql", "mssql", "sqlite"]  # that MLflow keeps runs in
# MLflow's server answers in 40 threads, each of which may hold a connection; with fewer (SQLAlchemy's 5 and 10 more) clients that
# come at once wait, and are turned away after 30 s with an answer that they don't take for a reason to try again.
CONNECTIONS = 45
PRIVATE = ".server"  # folder of the settings with secrets
FORM = "dialect://user:password@host:port/database, with the password's special characters as in %40 for @, e.g. \
postgresql://filterlab:PASSWORD@127.0.0.1:5432/filterlab"

# Of every MLflow server that is started here.
ENVIRONMENT = {
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # its job workers take 240 MB each, and we have no jobs
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "PYTHONSAFEPATH": "1",  # no module of the working directory, which is a user's, is run for one of Python's
    "PYTHONWARNINGS": "ignore:starlette.middleware.wsgi is deprecated",  # which MLflow 3.17 uses
}


def serve(root: Path, *, store: str, artifacts: str, host: str, port: int, auth: bool, allowed_hosts: str) -> None:
    """Become `mlflow server` on a database; never returns. Everything that can be checked is checked before.

    The server makes the database's tables where it is empty. Other machines are let in with a name and a password alone,
    over plain HTTP: TLS is a proxy's to add. Secrets are in neither the command line nor what is printed, but in files of
    mode 600 in `root`/.server.

    Args:
        store: the database's URL, as SQLAlchemy writes it; empty: FILTERLAB_STORE names it, which other users can't see.
        artifacts: folder (relative to `root`) or URL (s3://bucket/folder) that the server keeps pictures and models in.
        host: address to listen on; any but a loopback one turns authentication on.
        auth: ask for a name and a password on loopback too, e.g. behind a proxy.
        allowed_hosts: names or IPv4 addresses, with commas between, that clients and browsers may call this server by;
            required where `host` is no loopback address.

    Raises:
        UserError: an argument or a variable is missing or wrong.
        TrackingError: the database can't be reached, or refuses.
    """
    url = parse(store or os.environ.get(STORE, ""))
    if not is_loopback(host):
        auth = True
        if not allowed_hosts:
            raise UserError(
                f"a server on {host} can be reached from other machines: say with --allowed-hosts by which names or addresses "
                "they may call it, e.g. --allowed-hosts mlflow.example.org,192.0.2.7 (requests for other names are refused)"
            )
    command = ["-m", "mlflow", "server", "--host", host, "--port", str(port), "--workers", "1"]
    command += ["--artifacts-destination", destination(artifacts, root=root), *access_options(allowed_hosts)]
    if auth:
        extras.check("team", needed_by="a server that asks for names and passwords")
    check_address(host, port)
    administered = reach(url)
    environment = (
        os.environ
        | ENVIRONMENT
        | {
            "MLFLOW_BACKEND_STORE_URI": url.render_as_string(hide_password=False),
            "MLFLOW_SQLALCHEMYSTORE_POOL_SIZE": os.environ.get("MLFLOW_SQLALCHEMYSTORE_POOL_SIZE", str(CONNECTIONS)),
        }
    )
    if auth:
        command += ["--app-name", "basic-auth"]
        environment |= authentication(root.resolve() / PRIVATE, url, first=not administered)
    print(f"MLflow on {shown(url)}: {address(host, port)}  (Ctrl-C ends it)", flush=True)
    os.execve(sys.executable, [sys.executable, *command], environment)


def parse(store: str) -> "URL":
    """The URL of a kind of database that MLflow takes. What is wrong with another is said without repeating its password."""
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    if not store:
        raise UserError(f"no database is named: set {STORE}={FORM.split('e.g. ')[1]}, or give it with --store")
    try:
        url = make_url(store)
    except (ArgumentError, ValueError):
        raise UserError(f"the database's URL can't be read; it has the form {FORM}") from None
    if url.get_backend_name() not in DATABASES:
        raise UserError(
            f"MLflow keeps runs in {', '.join(DATABASES)}, not in {url.get_backend_name()!r}; a URL has the form {FORM}"
        )
    # A bare @ in a password makes its rest part of the host's name, which is no secret to anyone.
    if not url.database or (url.host and "@" in url.host + url.database):
        raise UserError(f"the database's URL names no database, or has one @ too many; it has the form {FORM}")
    return url


def shown(url: "URL") -> str:
    """The URL as others may read it: without its password, and without its options, which may hold another."""
    return url.set(query={}).render_as_string(hide_password=True)


def reach(url: "URL") -> bool:
    """Whether the database has an administrator already.

    Raises:
        TrackingError: it can't be reached or refuses.
        UserError: its driver is not installed.
    """
    import sqlalchemy

    patience = {"connect_timeout": 10} if url.get_backend_name() in ("postgresql", "mysql") else {}
    try:
        engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool, connect_args=patience)
        with engine.connect() as connection:
            if not sqlalchemy.inspect(connection).has_table("alembic_version_auth"):
                return False
            query = sqlalchemy.text("SELECT count(*) FROM users WHERE username = :name")
            return bool(connection.execute(query, {"name": ADMINISTRATOR}).scalar_one())
    except (sqlalchemy.exc.NoSuchModuleError, ModuleNotFoundError) as error:
        known = isinstance(error, ModuleNotFoundError) and extras.missing(error)
        raise UserError(f"{shown(url)} needs a driver that is not installed: {known or error}") from None
    except sqlalchemy.exc.SQLAlchemyError as error:
        reason = " ".join(str(getattr(error, "orig", None) or error).split())
        raise TrackingError(f"the database {shown(url)} can't be used: {reason}") from None


def is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def address(host: str, port: int) -> str:
    """Of the server's pages, for a browser."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def check_address(host: str, port: int) -> None:
    """Raises UserError at once where the server would say so after seconds of starting."""
    if port not in range(1, 1 << 16):
        raise UserError(f"a port is a number from 1 to {(1 << 16) - 1}, not {port}")
    try:
        socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET).close()
    except OSError as error:
        raise UserError(f"{host} can't be listened on at port {port}: {error}; choose with --host and --port") from None


def destination(artifacts: str, *, root: Path) -> str:
    """What --artifacts-destination takes; a folder is made."""
    if "://" not in artifacts:
        folder = (root / artifacts).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        return folder.as_uri()  # MLflow reads a path as a URL too
    if artifacts.startswith("s3://") and importlib.util.find_spec("boto3") is None:
        raise UserError(f"artifacts in {artifacts} need boto3, which is not installed: pip install boto3")
    return artifacts


def access_options(names: str) -> list[str]:
    """Options that let requests for these names in, with any port, and the pages' own requests to change something."""
    given = [name.strip() for name in names.split(",") if name.strip()]
    if wrong := [name for name in given if "/" in name]:
        raise UserError(f"--allowed-hosts takes names or addresses, e.g. mlflow.example.org, not {', '.join(wrong)}")
    if not given:
        return []
    hosts = [f"{name}{port}" for name in [*given, "localhost", "127.0.0.1"] for port in ("", ":*")]
    origins = [f"{scheme}://{name}{port}" for name in given for scheme in ("http", "https") for port in ("", ":*")]
    return ["--allowed-hosts", ",".join(hosts), "--cors-allowed-origins", ",".join(origins)]


def authentication(folder: Path, url: "URL", *, first: bool) -> dict[str, str]:
    """Variables of MLflow's basic-auth app, whose users are kept in the same database.

    Args:
        folder: of the settings, for this user's eyes alone.
        first: the database has no users yet: the administrator is made, with the password of MLFLOW_AUTH_ADMIN_PASSWORD, or
            else with one that is made up here and kept in `folder`.
    """
    folder.mkdir(mode=0o700, exist_ok=True)
    folder.chmod(0o700)
    private(folder / ".gitignore", "*\n")
    settings = configparser.ConfigParser(interpolation=None)
    settings["mlflow"] = {
        "database_uri": url.render_as_string(hide_password=False).replace("%", "%%"),  # MLflow reads it with interpolation
        "default_permission": "EDIT",  # of all users on all experiments: a team logs into one
        "auth_cache_ttl_seconds": "60",  # a password's hash costs more than most requests
    }
    written = io.StringIO()
    settings.write(written)
    private(folder / "auth.ini", written.getvalue())
    variables = {"MLFLOW_AUTH_CONFIG_PATH": str(folder / "auth.ini"), "MLFLOW_AUTH_ADMIN_USERNAME": ADMINISTRATOR}
    variables["MLFLOW_FLASK_SERVER_SECRET_KEY"] = os.environ.get("MLFLOW_FLASK_SERVER_SECRET_KEY") or stored_secret(
        folder / "secret_key"
    )
    if first:
        given = os.environ.get(PASSWORD, "")
        if given and len(given) < SHORTEST:
            raise UserError(f"the password in {PASSWORD} has {len(given)} characters; MLflow wants at least {SHORTEST}")
        variables[PASSWORD] = given or stored_secret(folder / "admin_password")
        source = f"the variable {PASSWORD}" if given else str(folder / "admin_password")
        print(f"The administrator is `{ADMINISTRATOR}`, with the password in {source}", flush=True)
    return variables


def stored_secret(path: Path) -> str:
    """The secret in this file; a new random one where the file is missing."""
    if not path.exists():
        private(path, secrets.token_urlsafe(24))
    return path.read_text()


def private(path: Path, text: str) -> None:
    """Write a file that is this user's alone from its first byte on."""
    path.touch(mode=0o600)
    path.chmod(0o600)
    path.write_text(text)
