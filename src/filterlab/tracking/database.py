"""The SQLite file of a local store: checked, created where it is missing, relocated where the repository has moved."""

import functools
import os
import shlex
import sqlite3
import sys
from collections.abc import Hashable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from filterlab.errors import TrackingError
from filterlab.tracking.store import ARTIFACTS, DATABASE

URIS: dict[Hashable, str] = {}  # that this process has used: see `uri`
PATIENCE = 60.0  # seconds that a lock is waited for
SIDES = ["-journal", "-wal", "-shm"]  # files of SQLite's beside a database
# Columns that hold absolute places.
PLACES = [
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
    ("trace_tags", "value"),
]
MEANS = {
    sqlite3.SQLITE_BUSY: "another program has it locked, and did not let go in time: end that program, or wait for it",
    sqlite3.SQLITE_READONLY: "it can be read but not written: it, or its folder, is another user's or is read-only",
    sqlite3.SQLITE_CANTOPEN: "it, or a file beside it, can't be opened: its folder is not there, or can't be written",
    sqlite3.SQLITE_FULL: "the disk is full",
    sqlite3.SQLITE_IOERR: "it, or a file beside it, can't be read or written: the disk may be full, or the quota used up",
    sqlite3.SQLITE_NOTADB: "the file is no database: put the right one back, or move it away and a new one is made",
    sqlite3.SQLITE_CORRUPT: "the file is damaged: put it back from a backup, or move it away and a new one is made",
}


@dataclass(frozen=True)
class Schema:
    """MLflow's: tables and revision as this version has them, and the revisions that it comes from."""

    tables: frozenset[str]
    revision: str
    known: frozenset[str]


@functools.cache
def schema() -> Schema:
    """Of the MLflow that is installed; some 40 ms."""
    from alembic.script import ScriptDirectory
    from mlflow.store.db.base_sql_model import Base
    from mlflow.store.db.utils import _get_alembic_config
    from mlflow.store.tracking import sqlalchemy_store  # noqa: F401 (it brings all tables)

    scripts = ScriptDirectory.from_config(_get_alembic_config(""))
    known = frozenset(script.revision for script in scripts.walk_revisions())
    return Schema(tables=frozenset(Base.metadata.tables), revision=scripts.get_current_head() or "", known=known)


def prepare(folder: Path, *, writing: bool) -> None:
    """See to it that MLflow finds a database of its own, whole, that it can write to, and that knows where its artifacts lie.

    Only what must be done is done under a lock; where all is well, as for nearly every run, nothing is waited for.

    Args:
        folder: of the store, and the working directory.
        writing: whether the store is to be written to.

    Raises:
        TrackingError: the file can't be used; it is left as it is.
    """
    database = folder / DATABASE
    if database.is_symlink():
        raise TrackingError(
            f"the MLflow store {database} is a symbolic link to {database.resolve()}, whose artifacts are not here: remove the "
            "link; one store for several repositories is a server's (docs/server.md)"
        )
    if not usable(database, writing=writing):
        with alone(database):
            if not usable(database, writing=True):
                make(folder)
    relocate(folder)


def usable(database: Path, *, writing: bool) -> bool:
    """Whether it is whole (and can be written to); False where there is none, or one without a run that was left half made."""
    if not database.exists():
        return False
    with opened(database) as connection:
        if writing:
            # SQLite lets a transaction begin on a file that it can't write. Rolled back, this leaves no trace.
            connection.execute("BEGIN IMMEDIATE")
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            connection.execute(f"PRAGMA user_version = {version ^ 1}")
            connection.execute("ROLLBACK")
        tables = {str(name) for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        found = connection.execute("SELECT version_num FROM alembic_version").fetchone() if "alembic_version" in tables else None
        revision = str(found[0]) if found else ""
        if revision == schema().revision and tables >= schema().tables:
            return True
        runs = connection.execute("SELECT count(*) FROM runs").fetchone()[0] if "runs" in tables else 0
    if tables - {"alembic_version"} and "experiments" not in tables:
        raise TrackingError(f"{database} is no MLflow store: it has the tables {', '.join(sorted(tables))}; move it away")
    if not runs:
        return False
    if not revision or revision == schema().revision:
        what = "it is not whole: put it back from a backup, or move it away and a new one is made"
    elif revision in schema().known:
        upgrade = mlflow(database.parent, f"db upgrade sqlite:///{DATABASE}")
        what = f"it was made by an older MLflow: copy it, as a backup, and then `{upgrade}`"
    else:
        what = f"its schema ({revision}) is none that this MLflow knows: a newer one made it, and can read it"
    raise TrackingError(f"the MLflow store {database} can't be used: {what} ({runs} runs)")


def make(folder: Path) -> None:
    """A new store. It is initialised beside, and renamed once whole: MLflow does so in many transactions, and can't go on
    where it was killed, or the disk was full, in between."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    database, unfinished = folder / DATABASE, folder / f"{DATABASE}.unfinished"
    # SQLite would take the journal of an earlier file under this name for this one's, and roll it back into it.
    old = [path.with_name(path.name + side) for path in (database, unfinished) for side in SIDES]
    with blaming(database):
        for path in [unfinished, *old]:
            path.unlink(missing_ok=True)
        try:
            made = SqlAlchemyStore(uri(unfinished.name, of=str(unfinished)), (folder / ARTIFACTS).as_uri())
            made.engine.dispose()
            unfinished.replace(database)
        finally:
            unfinished.unlink(missing_ok=True)


def relocate(folder: Path) -> None:
    """Relocate the artifacts in the database of a repository that was moved or copied, and report it on stderr.

    MLflow keeps them absolute: what is new would be written where the repository was, and into the one it was copied from.
    A place is mended that was below a folder mlartifacts, as an experiment's of ours is, and is not in this repository.

    Raises:
        TrackingError: the database can't be written.
    """
    database = folder / DATABASE
    if not database.exists():
        return
    with opened(database) as connection:
        if not bases(connection, folder):
            return
        with alone(database):
            connection.execute("BEGIN IMMEDIATE")
            tables = {str(name) for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            new, left = (folder / ARTIFACTS).as_uri(), set[Path]()
            moved = bases(connection, folder)
            for base in moved:
                for table, column in PLACES:
                    if table in tables:
                        below = {"base": base, "new": new, "length": len(base)}
                        inside = f"substr({column}, 1, :length + 1) = :base || '/'"
                        rows = connection.execute(f"SELECT {column} FROM {table} WHERE {inside}", below).fetchall()
                        left |= {local(base) for (place,) in rows if only_there(place, new + place.removeprefix(base))}
                        connection.execute(
                            f"UPDATE {table} SET {column} = :new || substr({column}, :length + 1) WHERE {inside}", below
                        )
            connection.execute("COMMIT")
    for old in sorted({local(base) for base in moved}):
        said = f"{database} now names {folder / ARTIFACTS} for what it kept in {old}: the repository was moved or copied"
        if old in left:
            said += f"; some files are only there: `cp -an {shlex.quote(str(old))}/. {shlex.quote(str(folder / ARTIFACTS))}/`"
        print(f"filterlab: {said}", file=sys.stderr, flush=True)


def bases(connection: sqlite3.Connection, folder: Path) -> list[str]:
    """Folders mlartifacts elsewhere that experiments are below of, as the database writes them."""
    found = set()
    if connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'experiments'").fetchone()[0]:
        for (place,) in connection.execute(
            f"SELECT artifact_location FROM experiments WHERE artifact_location LIKE '%/{ARTIFACTS}/%'"
        ):
            before = place.rpartition(f"/{ARTIFACTS}/")[0]
            if urlsplit(place).scheme in ("", "file") and not local(place).is_relative_to(folder / ARTIFACTS):
                found.add(f"{before}/{ARTIFACTS}")
    return sorted(found)


def local(place: str) -> Path:
    """The path that a place without a scheme, or a file's URI, names: as MLflow reads it."""
    return Path(url2pathname(urlsplit(place).path if place.startswith("file:") else place))


def only_there(old: str, new: str) -> bool:
    return os.path.lexists(local(old)) and not os.path.lexists(local(new))


def mlflow(folder: Path | str, words: str, **variables: str) -> str:
    """A command of MLflow's own, as a shell takes it; in a local store's folder, which its address starts from."""
    at = f"cd {shlex.quote(str(folder))} && " if folder else ""
    told = "".join(f"{name}={shlex.quote(given)} " for name, given in variables.items())
    return f"{at}{told}{shlex.quote(str(Path(sys.executable).with_name('mlflow')))} {words}"


@contextmanager
def alone(database: Path) -> Iterator[None]:
    """For making and mending it: no other process of ours does so."""
    from filelock import FileLock, Timeout

    path = database.with_name(f"{database.name}.lock")
    try:
        with blaming(database), FileLock(path, timeout=PATIENCE):
            yield
    except Timeout:
        raise TrackingError(f"another process has held {path} for {PATIENCE:.0f} s: end it, or wait for it") from None


@contextmanager
def opened(database: Path) -> Iterator[sqlite3.Connection]:
    """The database, without transactions but those that are begun."""
    with blaming(database):
        if database.is_dir():
            raise TrackingError(f"the MLflow store {database} can't be used: it is a folder; move it away")
        address = f"{database.as_uri()}?mode=rw"
        with closing(sqlite3.connect(address, uri=True, timeout=PATIENCE, isolation_level=None)) as connection:
            yield connection


def uri(name: str, *, of: Hashable) -> str:
    """The URI of a file in the working directory, in a spelling that no other `of` has.

    MLflow keeps a process's connections by URI: by the same one, a second folder's runs would go into the first one's file, and
    those of a store that was deleted and made anew into the deleted one.
    """
    return URIS.setdefault(of, "sqlite:///" + "./" * len(URIS) + name)


def identity(database: Path) -> tuple[str, int, int]:
    """Its path, device and inode: a file that takes its name while it is open has another identity."""
    found = database.stat()
    return str(database), found.st_dev, found.st_ino


@contextmanager
def blaming(database: Path) -> Iterator[None]:
    """Say in one sentence what SQLite, or what it is reached through, or the system, says of this file."""
    try:
        yield
    except TrackingError:
        raise
    except Exception as error:
        if not (what := meaning(error)):
            raise
        raise TrackingError(f"the MLflow store {database} can't be used: {what}") from None


def meaning(error: BaseException) -> str:
    """What SQLite or the system said, which this error may be made from; empty where neither did."""
    for cause in causes(error):
        if isinstance(cause, sqlite3.Error):
            return MEANS.get(getattr(cause, "sqlite_errorcode", 0) & 0xFF, str(cause))
        if isinstance(cause, OSError) and cause.strerror:
            place = cause.filename2 or cause.filename  # of a copy, which can fail at both its ends, the place that it was for
            return f"{cause.strerror}: {place}" if place else cause.strerror
    return ""


def causes(error: BaseException) -> Iterator[BaseException]:
    """The error, the one that it was made from, and so on."""
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)
