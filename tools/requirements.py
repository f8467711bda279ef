"""Prints requirements that pyproject.toml names: `build` for the build system, else an optional group, one a line."""

import sys
import tomllib
from pathlib import Path


def main(groups: list[str]) -> None:
    project = tomllib.loads(Path("pyproject.toml").read_text())
    for group in groups:
        if group == "build":
            print(*project["build-system"]["requires"], sep="\n")
        else:
            print(*project["project"]["optional-dependencies"][group], sep="\n")


if __name__ == "__main__":
    main(sys.argv[1:])
