"""The code that loads a model, to be stored with it: a package of its own name in one file, which needs no filterlab.

By its digest the package has a name that no other code has: a process may load models of different code, and each answers with
its own.
"""

import functools
import hashlib
import io
import re
import zipfile
from pathlib import Path

SOURCE = Path(__file__).parents[1]
# What filterlab.models.pyfunc imports, directly or not; of models/ all, for an architecture is found and not imported by name.
NEEDED = ["__init__", "config/__init__", "config/declared", "config/faults", "config/section", "errors", "files", "seal"]
LOADER = """\
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).with_name("{package}.zip")))
from {package}.models.pyfunc import _load_pyfunc  # noqa: E402, F401
"""


@functools.cache
def pack() -> tuple[str, dict[str, bytes]]:
    """The name of the module that has _load_pyfunc, and the files by name: that module, and a zip archive with the package.

    The same code gives the same bytes.
    """
    paths = {SOURCE / f"{name}.py" for name in NEEDED} | set((SOURCE / "models").rglob("*.py"))
    sources = {path.relative_to(SOURCE).as_posix(): path.read_text(encoding="utf-8") for path in sorted(paths)}
    digest = hashlib.sha256("\0".join(part for pair in sources.items() for part in pair).encode()).hexdigest()
    package = f"filterlab_{digest[:12]}"
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in sources.items():
            # An archive's members have a time: without one given, the bytes would be others each time.
            member = zipfile.ZipInfo(f"{package}/{name}")
            member.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(member, re.sub(r"^(\s*(?:from|import) )filterlab\b", rf"\1{package}", text, flags=re.MULTILINE))
    loader = f"load_{package}"
    return loader, {f"{loader}.py": LOADER.format(package=package).encode(), f"{package}.zip": content.getvalue()}
