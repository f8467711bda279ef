"""Build of the compiled engine: every .pyx under src/ranvier/engine is one extension module.

The rest of the metadata stands in pyproject.toml. Environment: RANVIER_BUILD_JOBS sets how many compilers run at once
(default: one per core); RANVIER_SANITIZE=1 builds with the address and undefined-behaviour sanitizers (make fuzz).
"""

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

ENGINE = Path("src/ranvier/engine")
JOBS = int(os.environ.get("RANVIER_BUILD_JOBS") or os.cpu_count() or 1)
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
    headers = [str(header) for pattern in ("*.pxd", "*.h") for header in sorted(ENGINE.rglob(pattern))]
    found = []
    for source in sorted(ENGINE.rglob("*.pyx")):
        if source.stem.startswith("poll_") and source.stem != POLLER:
            continue
        stem = "poll" if source.stem == POLLER else source.stem
        name = ".".join([*source.parent.relative_to(ENGINE).parts, stem])
        found.append(
            Extension(
                f"ranvier.engine.{name}",
                [str(source)],
                include_dirs=[str(ENGINE)],
                extra_compile_args=FLAGS,
                extra_link_args=LINK,
                depends=headers,
            )
        )
    return found


def missing_tools() -> list[str]:
    """What the build lacks, each with the Debian package that brings it; tried, not guessed."""
    missing = []
    include = sysconfig.get_path("include")
    if not Path(include, "Python.h").exists():
        missing.append(f"the Python headers: {include}/Python.h (Debian: python3-dev)")
    compiler = (os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc").split()
    if shutil.which(compiler[0]) is None:
        return [*missing, f"a C compiler: {compiler[0]} (Debian: gcc; another one: CC=clang)"]
    with tempfile.TemporaryDirectory() as directory:
        source = Path(directory, "probe.c")
        source.write_text("#include <stdlib.h>\nint main(void) { return EXIT_SUCCESS; }\n")
        command = [*compiler, str(source), "-o", str(Path(directory, "probe"))]
        outcome = subprocess.run(command, capture_output=True, text=True, check=False)
    if outcome.returncode != 0:
        missing.append(f"a working C compiler and the C library's headers (Debian: gcc libc6-dev):\n{outcome.stderr}")
    return missing


class BuildEngine(build_ext):
    """Says what is missing before anything is compiled; keeps the generated C under build/, away from the sources."""

    def run(self) -> None:
        if missing := missing_tools():
            sys.exit("Ranvier's engine is compiled at installation, and this machine lacks\n  " + "\n  ".join(missing))
        try:
            from Cython.Build import cythonize
        except ImportError:
            sys.exit("Ranvier's engine needs Cython to build; `pip install .` brings it, `setup.py` alone does not")
        if self.inplace or self.editable_mode:
            # pip gives an editable installation a folder of its own for what it builds: nothing would be found again.
            build = self.distribution.get_command_class("build")(self.distribution)
            build.ensure_finalized()
            self.build_lib, self.build_temp = build.build_lib, build.build_temp
        self.parallel = self.parallel or JOBS
        translated = cythonize(
            self.extensions,
            compiler_directives=DIRECTIVES,
            build_dir="build/cython",
            include_path=["src"],
            nthreads=JOBS if len(self.extensions) > 1 else 0,
            quiet=True,
        )
        sources = {extension.name: extension.sources for extension in translated}
        for extension in self.extensions:
            extension.sources = sources[extension.name]
        super().run()


setup(ext_modules=extensions(), cmdclass={"build_ext": BuildEngine})
