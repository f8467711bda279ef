"""Build of the compiled engine: every .pyx under src/ranvier/engine is one extension module.

The rest of the metadata stands in pyproject.toml. RANVIER_SANITIZE=1 builds with the address and
undefined-behaviour sanitizers (make fuzz).
"""

import os
import sys
from pathlib import Path

from setuptools import Extension, setup

try:
    from Cython.Build import cythonize
except ImportError:
    sys.exit("ranvier's engine is compiled: Cython is missing (pip install . brings it by itself)")

ENGINE = Path("src/ranvier/engine")
FLAGS = ["-O2", "-fno-strict-aliasing", "-fvisibility=hidden", "-Wno-unreachable-code"]
LINK: list[str] = []
if os.environ.get("RANVIER_SANITIZE"):
    FLAGS = ["-O1", "-g", "-fno-omit-frame-pointer", "-fno-strict-aliasing", "-fsanitize=address,undefined"]
    LINK = ["-fsanitize=address,undefined"]

DIRECTIVES = {
    "language_level": 3,
    "boundscheck": True,
    "wraparound": True,
    "cdivision": True,
    "initializedcheck": False,
    "embedsignature": False,
}

# One module per readiness facility, built under the one name that the loop imports.
POLLER = "poll_kqueue" if sys.platform == "darwin" else "poll_epoll"


def extensions() -> list[Extension]:
    """One extension per .pyx; both pollers carry the module name engine.poll."""
    found = []
    for source in sorted(ENGINE.glob("*.pyx")):
        if source.stem.startswith("poll_") and source.stem != POLLER:
            continue
        name = "poll" if source.stem == POLLER else source.stem
        found.append(
            Extension(
                f"ranvier.engine.{name}", [str(source)], extra_compile_args=FLAGS, extra_link_args=LINK,
                depends=[str(header) for header in ENGINE.glob("*.pxd")],
            )
        )
    return found


setup(
    ext_modules=cythonize(
        extensions(),
        compiler_directives=DIRECTIVES,
        build_dir="build/cython",
        include_path=["src"],
        nthreads=int(os.environ.get("RANVIER_BUILD_JOBS", os.cpu_count() or 1)),
    ),
)
