"""SLURM for the tests that need one."""

import shutil
from collections.abc import Iterator

import pytest
from slurm_on_loopback import PROGRAMS, SBIN, Cluster, running


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    if missing := [program for program in PROGRAMS if not shutil.which(program, path=SBIN)]:
        pytest.skip(f"SLURM: {'/'.join(missing)} not installed (Debian's packages slurm-wlm and munge)")
    with running(tmp_path_factory.mktemp("slurm")) as found:
        yield found
