"""`make compiled-test`: the pure packages compiled by mypyc, the fast tests against them, and what it brings.

The package and the tests are copied to build/compiled, and the copy is compiled there: never in place, where a stale
library would shadow edited source. It must not change what is compiled; what does not compile is mended in the source.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
BUILD: Final = ROOT / "build" / "compiled"

PURE: Final = (
    "perdure/machines/**/*.py",
    "perdure/api/splice.py",
    "perdure/transport/floods.py",
    "perdure/transport/frames.py",
    "perdure/transport/header_blocks.py",
    "perdure/transport/headers.py",
    "perdure/transport/http2.py",
    "perdure/transport/limits.py",
    "perdure/transport/messages.py",
    "perdure/transport/metadata.py",
    "perdure/transport/sending.py",
    "perdure/transport/streams.py",
    "perdure/visibility/conditions.py",
    "perdure/visibility/lexer.py",
    "perdure/visibility/query.py",
    "perdure/visibility/syntax.py",
)
"""What is compiled. Package files stay as they are: they hold docstrings only."""

TESTS: Final = (
    "tests/machines",
    "tests/matching",
    "tests/transport/test_http2.py",
    "tests/transport/test_hostile.py",
    "tests/transport/test_messages.py",
    "tests/transport/test_server_virtual.py",
    "tests/visibility",
    "tests/api/test_splice.py",
    "tests/sim",
)
"""What runs against it: everything fast that needs no socket."""

SETUP: Final = """
from setuptools import setup
from mypyc.build import mypycify

setup(
    name="perdure-compiled",
    ext_modules=mypycify(["--python-version", "3.11", *{files!r}], opt_level={level!r}, multi_file=True),
)
"""


def copy() -> list[str]:
    """A fresh copy of the package, the tests and the settings; the files to compile, relative to it."""
    if BUILD.exists():
        shutil.rmtree(BUILD)
    BUILD.mkdir(parents=True)
    ignored = shutil.ignore_patterns("__pycache__", "*.so")
    for folder in ("perdure", "tests", "bench"):
        shutil.copytree(ROOT / folder, BUILD / folder, ignore=ignored)
    found = sorted({path for pattern in PURE for path in BUILD.glob(pattern)})
    return [path.relative_to(BUILD).as_posix() for path in found if path.name != "__init__.py"]


def compile_in_place(files: list[str], level: str) -> None:
    """Build the extension modules inside the copy. Raises CalledProcessError."""
    (BUILD / "setup.py").write_text(SETUP.format(files=files, level=level))
    jobs = str(os.cpu_count() or 1)
    subprocess.run(
        [sys.executable, "setup.py", "--quiet", "build_ext", "--inplace", "--parallel", jobs],
        cwd=BUILD,
        check=True,
    )
    # Only now: setuptools would read the project's metadata from it, mypyc nothing.
    shutil.copy(ROOT / "pyproject.toml", BUILD)


def environment(folder: Path) -> dict[str, str]:
    """The copy, not the installed package, is what `import perdure` finds."""
    return {**os.environ, "PYTHONPATH": str(folder)}


def main() -> int:
    """Copy, compile, test, measure; the exit status of the tests."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--opt", default="1", choices=("0", "1", "2", "3"), help="the C compiler's level")
    parser.add_argument("--keep", action="store_true", help="use what was compiled last")
    options = parser.parse_args()
    began = time.monotonic()
    if not options.keep:
        files = copy()
        compile_in_place(files, options.opt)
        print(f"compiled {len(files)} modules in {time.monotonic() - began:.0f} s", flush=True)
    tests = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-m", "not slow", *TESTS], cwd=BUILD, env=environment(BUILD)
    )
    for folder in (ROOT, BUILD):
        subprocess.run([sys.executable, "bench/steps.py"], cwd=folder, env=environment(folder), check=True)
    return tests.returncode


if __name__ == "__main__":
    sys.exit(main())
