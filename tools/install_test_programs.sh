#!/bin/sh
# Names the programs that Ranvier's tests and fuzzers run and that are missing here; as root on Debian, installs them.
# No service is started: policy-rc.d holds back a package that would start one while it is installed.
set -eu

# ioredis, which a test of Sentinel runs: below build, where `make clean` finds it. Without node that test is skipped.
if command -v node >/dev/null 2>&1 && command -v npm >/dev/null 2>&1 && [ ! -d build/node/node_modules/ioredis ]; then
    echo "Installing for the tests: ioredis"
    npm install --prefix build/node --no-save --no-audit --no-fund --silent ioredis@5 >/dev/null 2>&1 ||
        echo "Not installed: ioredis. The test that needs it is skipped (which CI forbids)." >&2
fi

missing=""
packages=""
need() { # PROGRAM PACKAGE
    command -v "$1" >/dev/null 2>&1 && return
    missing="$missing $1"
    packages="$packages $2"
}
need redis-server redis-server
need redis-cli redis-tools
need redis-benchmark redis-tools
need redis-sentinel redis-sentinel
need taskset util-linux
need clang clang
find /usr/lib/llvm* /usr/lib/clang /usr/local/lib -name 'libclang_rt.fuzzer*' 2>/dev/null | grep -q . ||
    missing="$missing libFuzzer"
[ -n "$missing" ] || exit 0

if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
    echo "Missing:$missing. The tests that need them are skipped (which CI forbids)." >&2
    exit 0
fi

echo "Installing for the tests:$missing"
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    trap 'rm -f "$policy"' EXIT
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod +x "$policy"
fi
apt-get update -qq || echo "apt-get update failed: trying with the lists that are here" >&2
case "$missing" in
*libFuzzer*) packages="$packages libclang-rt-$(apt-cache depends clang | sed -n 's/.*Depends: clang-\([0-9]*\)$/\1/p')-dev" ;;
esac
# shellcheck disable=SC2086  # a list of package names
DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $packages >/dev/null ||
    echo "Not installed:$missing. The tests that need them are skipped (which CI forbids)." >&2
