"""Fuzzes what a peer can reach: the engine's parts under libFuzzer, then the whole engine under gcc's sanitizers.

Each fuzz/fuzz_NAME.c includes the C that Cython generated for one part and links without the interpreter. A finding is
written to build/fuzz/NAME-crash-…; `python tools/fuzz.py --replay FILE` runs it again. The seed is printed: the same
seed and time on the same build explores the same inputs (--seed). With --sanitized-tests, the extension modules are
built with AddressSanitizer and UndefinedBehaviorSanitizer and a part of the test suite runs on them (or the tests that
are named: `python tools/fuzz.py --seconds 0 --sanitized-tests tests/persistence/test_replay.py`).
"""

import argparse
import os
import random
import shutil
import subprocess
import sys
import sysconfig
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from differential.protocol_cases import CASES

ROOT = Path(__file__).parent.parent
GENERATED = ROOT / "build" / "cython" / "src" / "ranvier" / "engine"
OUTPUT = ROOT / "build" / "fuzz"
SANITIZED = ROOT / "build" / "sanitized"
LARGEST_INPUT_BYTES = 400

COMPILE = [
    *("clang", "-g", "-O2", "-w", "-fno-strict-aliasing", "-ffunction-sections", "-fdata-sections"),
    *("-fsanitize=fuzzer,address,undefined", "-fno-sanitize-recover=all"),
    f"-I{sysconfig.get_path('include')}",
    f"-I{ROOT / 'src' / 'ranvier' / 'engine'}",
    # What is left of the interpreter's names is never called; ignoring it needs an executable at a fixed address.
    *("-fno-pie", "-no-pie", "-Wl,--gc-sections,--unresolved-symbols=ignore-all"),
]

# What the sanitized engine is put through: everything that reads what a peer sent or a file holds, without the long
# runs. Each line is a process of its own, the longest first; as many as there are processors run at a time.
CHANGED_FILES = ["tests/persistence/test_append_only_mutations.py", "tests/persistence/test_snapshots.py"]
SANITIZED_TESTS = [
    CHANGED_FILES,
    ["tests/persistence", *(f"--ignore={name}" for name in CHANGED_FILES)],
    ["tests/commands"],
    ["tests/differential/machines"],
    ["tests/modes", "tests/model", "tests/keyspace"],
    ["tests/engine"],
    [*(
        f"tests/replication/test_{name}.py"
        for name in ("hostile", "handshake", "incoming", "link", "primary", "primary_shown", "roles", "transfer")
    )],
    ["tests/differential/test_protocol.py", "tests/differential/test_commands.py"],
    [*(f"tests/lifecycle/test_{name}.py" for name in ("reading", "writing", "closing", "slow_subscriber"))],
]
# pytest keeps what the process's descriptor 2 is told until a test has ended; a sanitizer ends it in its middle.
SANITIZED_TEST_OPTIONS = [
    *("--differential-requests", "120", "--timeout", "900", "-p", "no:cacheprovider", "--capture=sys"),
    *("--durations", "5"),
]
# Tests that measure memory or processor time, which the sanitizers change by their nature.
SANITIZED_DESELECTED = (
    "not used_memory and not bounded and not cost_nothing and not enough_requests and not freed_memory_goes_back "
    "and not (sorted_set_of and under_a_key)"
)
# How many changed values, files and conversations are tried, of each kind.
SANITIZED_NUMBERS = {
    "RANVIER_SNAPSHOT_MUTATIONS": "10000",
    "RANVIER_APPEND_ONLY_MUTATIONS": "10000",
    "RANVIER_RESTORE_MUTATIONS": "1000",
    "RANVIER_HOSTILE_CONVERSATIONS": "2000",
}


def harnesses() -> list[Path]:
    return sorted((ROOT / "fuzz").glob("fuzz_*.c"))


def missing_programs() -> str:
    """What fuzzing lacks on this machine, empty when nothing."""
    if shutil.which("clang") is None:
        return "clang"
    probe = subprocess.run(
        ["clang", "-fsanitize=fuzzer", "-x", "c", "-", "-o", os.devnull],
        input="int LLVMFuzzerTestOneInput(const char *d, unsigned long n) { return 0; }",
        capture_output=True,
        text=True,
        check=False,
    )
    return "" if probe.returncode == 0 else "libFuzzer (Debian: libclang-rt-14-dev)"


def build(source: Path) -> Path:
    """Compile one harness; the executable."""
    part = next(GENERATED.rglob(source.name.replace("fuzz_", "", 1)))
    program = OUTPUT / source.stem
    newest = max(source.stat().st_mtime, part.stat().st_mtime)
    if not program.exists() or program.stat().st_mtime < newest:
        subprocess.run([*COMPILE, f"-I{part.parent}", str(source), "-o", str(program)], check=True)
    return program


def write_corpus(name: str) -> Path:
    """The first inputs: for the parser every case of the protocol tests that is short enough."""
    corpus = OUTPUT / f"corpus-{name}"
    corpus.mkdir(parents=True, exist_ok=True)
    if name == "fuzz_request":
        for number, case in enumerate(CASES):
            if len(case.data) < LARGEST_INPUT_BYTES:
                (corpus / f"case-{number}").write_bytes(b"\x01\x07\x00\x00" + case.data)
    return corpus


def fuzz(seconds: int, seed: int) -> bool:
    """Run every harness at the same time for `seconds`; true when none found anything."""
    OUTPUT.mkdir(parents=True, exist_ok=True)
    running = []
    for source in harnesses():
        program = build(source)
        command = [
            *(str(program), f"-seed={seed}", f"-max_total_time={seconds}", f"-max_len={LARGEST_INPUT_BYTES}"),
            *("-timeout=20", "-rss_limit_mb=2048", "-print_final_stats=1", f"-artifact_prefix={OUTPUT}/{source.stem}-"),
            str(write_corpus(source.stem)),
        ]
        log = (OUTPUT / f"{source.stem}.log").open("w+")
        running.append((source, log, subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)))
    clean = True
    for source, log, process in running:
        status = process.wait()
        log.seek(0)
        text = log.read()
        log.close()
        executed = [line.split()[-1] for line in text.splitlines() if "number_of_executed_units" in line]
        print(f"{source.stem}: {executed[-1] if executed else '?'} inputs in {seconds} s, seed {seed}", flush=True)
        if status != 0:
            clean = False
            print(f"{source.stem} ended with status {status}:\n{text[-6000:]}", flush=True)
    return clean


def replay(artifact: Path) -> int:
    """Run one input that was found; its name tells the harness."""
    for source in harnesses():
        if artifact.name.startswith(source.stem):
            OUTPUT.mkdir(parents=True, exist_ok=True)
            return subprocess.run([str(build(source)), str(artifact)], check=False).returncode
    print(f"{artifact.name} does not begin with the name of a harness in fuzz/")
    return 2


def sanitizer_environment() -> dict[str, str]:
    """The environment under which an interpreter without sanitizers loads the sanitized engine."""
    compiler = (os.environ.get("CC") or "gcc").split()
    libraries = [
        subprocess.check_output([*compiler, f"-print-file-name={name}"], text=True).strip()
        for name in ("libasan.so", "libubsan.so")
    ]
    return {
        **os.environ,
        "LD_PRELOAD": " ".join(libraries),
        "PYTHONMALLOC": "malloc",
        **SANITIZED_NUMBERS,
        "PYTHONPATH": f"{SANITIZED / 'lib'}{os.pathsep}{ROOT / 'tests'}",
        # The interpreter never frees some of what it allocates: leaks are what tests/lifecycle/test_leaks.py finds.
        "ASAN_OPTIONS": "detect_leaks=0:abort_on_error=1:allocator_may_return_null=1",
        "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1:abort_on_error=1",
    }


def run_tests(tests: list[str], more: list[str]) -> bool:
    """One process of sanitized tests; what it said is printed when it has ended, all of it when something failed."""
    command = [sys.executable, "-m", "pytest", *tests, "-k", SANITIZED_DESELECTED, *SANITIZED_TEST_OPTIONS, *more]
    began = time.monotonic()
    outcome = subprocess.run(
        command, check=False, cwd=ROOT, env=sanitizer_environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )
    text = outcome.stdout.decode("utf-8", "replace")
    clean = outcome.returncode == 0
    print(f"== sanitized: {' '.join(tests)}: {'clean' if clean else f'status {outcome.returncode}'} "
          f"in {time.monotonic() - began:.0f} s\n{text[-1500:] if clean else text}", flush=True)
    return clean


def sanitized_tests(more: list[str]) -> bool:
    """Build the engine with sanitizers beside the ordinary build, and run tests on it; with `more`, those alone."""
    directories = [f"--build-base={SANITIZED}", f"--build-lib={SANITIZED / 'lib'}"]
    command = [sys.executable, "setup.py", "-q", "build", *directories]
    subprocess.run(command, check=True, cwd=ROOT, env={**os.environ, "RANVIER_SANITIZE": "1"})
    groups = [[]] if any(word.startswith("tests/") for word in more) else SANITIZED_TESTS
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        return all(list(pool.map(lambda tests: run_tests(tests, more), groups)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=60, help="time for the harnesses, which run side by side")
    parser.add_argument("--seed", type=int, default=0, help="libFuzzer's seed (default: chosen and printed)")
    parser.add_argument("--sanitized-tests", action="store_true", help="then the tests on the sanitized engine")
    parser.add_argument("--replay", type=Path, metavar="FILE", help="run one finding again")
    arguments, more = parser.parse_known_args()
    if arguments.replay:
        sys.exit(replay(arguments.replay))
    if missing := missing_programs():
        print(f"No fuzzing: {missing} is missing" + (", which CI forbids" if os.environ.get("CI") == "true" else ""))
        sys.exit(1 if os.environ.get("CI") == "true" else 0)
    clean = not arguments.seconds or fuzz(arguments.seconds, arguments.seed or random.randrange(1, 1 << 31))
    if clean and arguments.sanitized_tests:
        clean = sanitized_tests(more)
    sys.exit(0 if clean else 1)


if __name__ == "__main__":
    main()
