#!/bin/sh
# Prints the newest Python from 3.11 to 3.13 in PATH that can build and hold Ranvier: with its headers and with venv.
# When there is none, says on standard error what the best candidate lacks, and fails.
set -eu

fitness='
import os, sys, sysconfig
lacks = []
if not (3, 11) <= sys.version_info[:2] <= (3, 13):
    lacks.append("a version from 3.11 to 3.13 (this is %d.%d)" % sys.version_info[:2])
if not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")):
    lacks.append("the C headers (Debian: python3-dev)")
try:
    import ensurepip, venv
except ImportError:
    lacks.append("venv with ensurepip (Debian: python3-venv)")
print("; ".join(lacks))
'

complaints=""
for name in python3.13 python3.12 python3.11 python3 /usr/bin/python3; do
    path=$(command -v "$name") || continue
    lacks=$("$path" -c "$fitness" 2>/dev/null) || continue    # a version manager's shim without a Python behind it
    if [ -z "$lacks" ]; then
        echo "$path"
        exit 0
    fi
    complaints="$complaints
  $path lacks $lacks"
done
echo "No Python for Ranvier was found: 3.11, 3.12 or 3.13, with headers and venv, is needed.${complaints}
On Debian: apt-get install python3-venv python3-dev gcc make. Another Python is named by make PYTHON=/path/to/python." >&2
exit 1
