"""INFO: the sections and fields of Valkey 9.1, filled from what a server hands in."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import pytest

from harness.process import ServerProcess, parse_info
from ranvier.observe import process
from ranvier.observe.info import DERIVED, PASSING, SECTIONS, Figure, human_bytes, render
from ranvier.observe.rates import Rates


@dataclass
class Keys:
    index: int
    count: int
    volatile_count: int = 0
    average_ttl_ms: int = 0
    volatile_hash_count: int = 0

    def __len__(self) -> int:
        return self.count


@dataclass
class Source:
    figures: dict[str, Figure] = field(default_factory=dict)
    percentiles: dict[str, dict[float, float]] = field(default_factory=dict)

    def statistics(self) -> Mapping[str, Figure]:
        return self.figures

    def listeners(self) -> Iterable[str]:
        return ["name=tcp,bind=127.0.0.1,port=1", "name=unix,bind=/tmp/s"]

    def replica_lines(self) -> Iterable[str]:
        return ["slave0:ip=127.0.0.1,port=2,state=online,offset=3,lag=0,type=replica"]

    def command_statistics(self) -> Mapping[str, tuple[int, int, int, int]]:
        return {"get": (4, 6, 1, 2), "config|set": (0, 0, 3, 0)}

    def error_statistics(self) -> Mapping[str, int]:
        return {"ERR": 3, "WRONGTYPE": 1}

    def latency_statistics(self) -> Mapping[str, Mapping[float, float]]:
        return self.percentiles

    def databases(self) -> Iterable[Keys]:
        return [Keys(0, 5, 2, 1234), Keys(1, 0), Keys(3, 1)]


def fields(text: str) -> dict[str, str]:
    return parse_info(text.encode())


def titles(text: str) -> list[str]:
    return [line[2:] for line in text.split("\r\n") if line.startswith("# ")]


DEFAULT = ["Server", "Clients", "Memory", "Persistence", "Stats", "Replication", "CPU", "Modules", "Errorstats",
           "Cluster", "Keyspace"]


@pytest.mark.parametrize(("asked", "shown"), [
    (["default"], DEFAULT),
    (["all"], [*DEFAULT[:8], "Commandstats", "Errorstats", "Latencystats", *DEFAULT[9:]]),
    (["everything"], [*DEFAULT[:8], "Commandstats", "Errorstats", "Latencystats", *DEFAULT[9:]]),
    (["keyspace", "server", "keyspace", "nosuch"], ["Server", "Keyspace"]),
    (["cpu", "default"], DEFAULT),
    (["nosuch"], []),
])
def test_sections(asked: list[str], shown: list[str]) -> None:
    assert titles(render(Source(), asked)) == shown


def test_nothing_asked_that_exists_is_empty() -> None:
    assert render(Source(), ["nosuch"]) == ""


def test_layout() -> None:
    assert render(Source(), ["cluster", "keyspace"]) == (
        "# Cluster\r\ncluster_enabled:0\r\n\r\n"
        "# Keyspace\r\n"
        "db0:keys=5,expires=2,avg_ttl=1234,keys_with_volatile_items=0\r\n"
        "db3:keys=1,expires=0,avg_ttl=0,keys_with_volatile_items=0\r\n"
    )


def test_lists() -> None:
    source = Source(percentiles={"get": {50: 1.003, 99.9: 20.5}})
    shown = fields(render(source, ["server", "commandstats", "errorstats", "latencystats"]))
    assert shown["listener1"] == "name=unix,bind=/tmp/s"
    assert shown["cmdstat_get"] == "calls=4,usec=6,usec_per_call=1.50,rejected_calls=1,failed_calls=2"
    assert shown["cmdstat_config|set"] == "calls=0,usec=0,usec_per_call=0.00,rejected_calls=3,failed_calls=0"
    assert shown["errorstat_WRONGTYPE"] == "count=1"
    assert shown["latency_percentiles_usec_get"] == "p50=1.003,p99.9=20.500"


def test_derived_fields() -> None:
    shown = fields(render(Source({
        "used_memory": 3_000_000, "used_memory_peak": 4_000_000, "used_memory_rss": 6_000_000, "maxmemory": 100,
        "used_memory_overhead": 1_000_000, "used_memory_startup": 500_000, "uptime_in_seconds": 200_000,
    }), ["memory", "server"]))
    assert shown["used_memory_human"] == "2.86M"
    assert shown["maxmemory_human"] == "100B"
    assert shown["used_memory_peak_perc"] == "75.00%"
    assert shown["used_memory_dataset"] == "2000000"
    assert shown["used_memory_dataset_perc"] == "80.00%"
    assert shown["mem_fragmentation_ratio"] == "2.00"
    assert shown["mem_fragmentation_bytes"] == "3000000"
    assert shown["uptime_in_days"] == "2"


def test_figures_are_one_line_with_the_decimals_of_their_field() -> None:
    shown = fields(render(Source({
        "used_cpu_sys": 1.5, "instantaneous_input_kbps": 0.126, "config_file": "/a\r\nfake:1",
    }), ["all"]))
    assert shown["used_cpu_sys"] == "1.500000"
    assert shown["instantaneous_input_kbps"] == "0.13"
    assert shown["config_file"] == "/a  fake:1"
    assert "fake" not in shown


def test_a_misspelt_statistic_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="used_memroy"):
        render(Source({"used_memroy": 1}), ["memory"])


@pytest.mark.parametrize(("count", "text"), [
    (0, "0B"), (1023, "1023B"), (1024, "1.00K"), (1536, "1.50K"), (1024**2, "1.00M"), (5 * 1024**3, "5.00G"),
    (1024**4, "1.00T"), (2048 * 1024**5, "2048.00P"),
])
def test_human_bytes(count: int, text: str) -> None:
    assert human_bytes(count) == text


# Why Ranvier leaves fields of the reference out: section -> beginning of their names -> reason.
LEFT_OUT: dict[str, dict[str, str]] = {
    "server": {
        "valkey_": "another server's version",
        "gcc_version": "built by whatever the installation finds",
        "listener": "a list, one line for each",
    },
    "tls": {"tls_": "no TLS yet"},
    "memory": {
        "allocator_": "the C library's allocator keeps no such account",
        "rss_overhead_": "derived from the allocator's account",
        "used_memory_vm_": "no scripting engine yet",
        "used_memory_scripts_eval": "no scripting engine yet",
        "used_memory_functions": "no scripting engine yet",
        "mem_cluster_slot_": "no cluster mode",
    },
    "persistence": {"slot_migration_": "no cluster mode"},
    "stats": {
        "total_net_cluster_slot_": "no cluster mode",
        "expired_keys_with_volatile_items_stale_perc": "no fields that expire yet",
        "io_threaded_freed_objects": "one thread owns a server",
        "io_threaded_accept_processed": "one thread owns a server",
        "io_threaded_poll_processed": "one thread owns a server",
        "io_threaded_total_prefetch_": "one thread owns a server",
    },
    "cpu": {"used_active_time_main_thread": "of threads that poll without sleeping, which there are none of"},
    "modules": {"module": "a list, and no modules"},
    "commandstats": {"cmdstat_": "a list, one line for each"},
    "errorstats": {"errorstat_": "a list, one line for each"},
    "latencystats": {"latency_percentiles_usec_": "a list, one line for each"},
    "cluster info": {"": "no cluster mode"},
    "scripting engines": {"engine": "no scripting engine yet"},
    "keyspace": {"db": "a list, one line for each"},
}
# What the reference does not have.
ADDED = {"server": ["ranvier_version", "redis_mode"], "stats": ["client_closes"]}


def names_by_section(text: str) -> dict[str, list[str]]:
    """The field names of INFO, in order."""
    found: dict[str, list[str]] = {}
    for line in text.split("\r\n"):
        if line.startswith("# "):
            found[section := line[2:].lower()] = []
        elif line:
            found[section].append(line.partition(":")[0])
    return found


def test_a16_every_section_has_the_fields_of_the_reference_in_its_order(valkey: ServerProcess) -> None:
    with valkey.connect() as wire:
        theirs = names_by_section(wire.call("INFO", "everything").text.decode())
    ours = {section: [name for name in names if name not in PASSING] for section, names in SECTIONS.items()}
    for section, names in theirs.items():
        reasons = tuple(LEFT_OUT.get(section, ()))
        kept = [name for name in names if not (reasons and name.startswith(reasons))]
        assert [name for name in ours.get(section, []) if name not in ADDED.get(section, [])] == kept, section
    assert ours.keys() <= theirs.keys()


def test_every_reason_for_a_missing_field_is_needed(valkey: ServerProcess) -> None:
    with valkey.connect() as wire:
        wire.pipeline([("SET", "k", "v"), ("NOSUCH",)])
        theirs = names_by_section(wire.call("INFO", "everything").text.decode())
    for section, reasons in LEFT_OUT.items():
        for start in reasons:
            assert section in theirs and (not start or any(name.startswith(start) for name in theirs[section])), start


def test_derived_fields_exist() -> None:
    assert {name for section in SECTIONS.values() for name in section} >= DERIVED


def test_figures_of_the_process_are_known_to_info() -> None:
    figures = process.fixed_figures() | process.current_figures()
    shown = fields(render(Source(figures), ["all"]))
    assert int(shown["process_id"]) > 0
    assert int(shown["used_memory_rss"]) > 1_000_000
    assert float(shown["used_cpu_user"]) > 0


def test_rates() -> None:
    rates = Rates()
    assert rates.per_second("commands") == 0
    rates.sample(0, {"commands": 10})
    assert rates.per_second("commands") == 0
    rates.sample(500, {"commands": 60})
    assert rates.per_second("commands") == 100
    for tick in range(2, 40):
        rates.sample(500 * tick, {"commands": 60})
    assert rates.per_second("commands") == 0
    rates.sample(30_000, {"commands": 0})
    assert rates.per_second("commands") == 0
    rates.reset()
    assert rates.per_second("commands") == 0


def test_rates_of_one_counter_by_another() -> None:
    rates = Rates()
    assert rates.per_unit("microseconds", "turns") == 0
    rates.sample(0, {"microseconds": 100, "turns": 10})
    assert rates.per_unit("microseconds", "turns") == 0
    rates.sample(100, {"microseconds": 400, "turns": 20})
    assert rates.per_unit("microseconds", "turns") == 30
    rates.sample(200, {"microseconds": 0, "turns": 0})
    assert rates.per_unit("microseconds", "turns") == 0, "after a reset of the counters"
