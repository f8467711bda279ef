"""CONFIG SET and the hooks of the server: who is told of what, and what happens when one refuses."""

import pytest

from ranvier.config.option_table import OPTIONS
from ranvier.config.options import ApplyTarget, Configuration
from ranvier.errors import CommandError, ConfigurationError


class Recorder:
    """A server that notes which hook was called and what the configuration said then."""

    def __init__(self, configuration: Configuration, refusing: str = "", reason: str = "") -> None:
        self.configuration = configuration
        self.calls: list[tuple[str, int, int]] = []
        self.refusing = refusing
        self.reason = reason

    def _called(self, hook: str) -> None:
        self.calls.append((hook, self.configuration.hz, self.configuration.maxclients))
        if hook == self.refusing and self.configuration.maxclients != 10000:
            raise ConfigurationError(self.reason)

    def apply_append_only(self) -> None:
        self._called("apply_append_only")

    def apply_client_limits(self) -> None:
        self._called("apply_client_limits")

    def apply_client_memory(self) -> None:
        self._called("apply_client_memory")

    def apply_closed(self) -> None:
        self._called("apply_closed")

    def apply_directory(self) -> None:
        self._called("apply_directory")

    def apply_hz(self) -> None:
        self._called("apply_hz")

    def apply_import_mode(self) -> None:
        self._called("apply_import_mode")

    def apply_keyspace(self) -> None:
        self._called("apply_keyspace")

    def apply_latency(self) -> None:
        self._called("apply_latency")

    def apply_listeners(self) -> None:
        self._called("apply_listeners")

    def apply_log(self) -> None:
        self._called("apply_log")

    def apply_maxclients(self) -> None:
        self._called("apply_maxclients")

    def apply_memory(self) -> None:
        self._called("apply_memory")

    def apply_notifications(self) -> None:
        self._called("apply_notifications")

    def apply_password(self) -> None:
        self._called("apply_password")

    def apply_replica(self) -> None:
        self._called("apply_replica")

    def apply_replication(self) -> None:
        self._called("apply_replication")

    def apply_save(self) -> None:
        self._called("apply_save")

    def apply_slowlog(self) -> None:
        self._called("apply_slowlog")

    def apply_tracking(self) -> None:
        self._called("apply_tracking")


def test_every_hook_of_the_table_is_one_of_the_server() -> None:
    hooks = {option.apply for option in OPTIONS if option.apply is not None}
    assert hooks == {name for name in vars(ApplyTarget) if name.startswith("apply_")}
    assert all((option.used or option.obeyed) and option.mutable for option in OPTIONS if option.apply is not None)


def test_each_hook_is_called_once_after_all_values_are_set() -> None:
    configuration = Configuration()
    target = Recorder(configuration)
    configuration.set([("timeout", "1"), ("hz", "20"), ("tcp-keepalive", "2"), ("maxclients", "50")], target)
    assert target.calls == [("apply_client_limits", 20, 50), ("apply_hz", 20, 50), ("apply_maxclients", 20, 50)]


def test_what_does_not_change_is_not_applied() -> None:
    configuration = Configuration()
    target = Recorder(configuration)
    configuration.set([("timeout", "0"), ("hz", "10"), ("rdbcompression", "no")], target)
    assert target.calls == []


def test_a_hook_that_refuses_puts_everything_back() -> None:
    configuration = Configuration()
    target = Recorder(configuration, "apply_maxclients", "try with 7")
    with pytest.raises(CommandError) as caught:
        configuration.set([("hz", "20"), ("maxclients", "50"), ("timeout", "1")], target)
    expected = "ERR CONFIG SET failed (possibly related to argument 'maxclients') - try with 7"
    assert caught.value.text == expected
    assert (configuration.hz, configuration.maxclients, configuration.timeout_seconds) == (10, 10000, 0)
    assert target.calls == [
        ("apply_hz", 20, 50),
        ("apply_maxclients", 20, 50),
        ("apply_hz", 10, 10000),
    ]


def test_a_refused_value_applies_nothing() -> None:
    configuration = Configuration()
    target = Recorder(configuration)
    with pytest.raises(CommandError):
        configuration.set([("hz", "20"), ("timeout", "x")], target)
    assert target.calls == []
    assert configuration.hz == 10


@pytest.mark.parametrize(("permission", "local", "allowed"), [
    ("no", True, False), ("local", True, True), ("local", False, False), ("yes", False, True),
])  # fmt: skip
def test_protected_options_follow_enable_protected_configs(permission: str, local: bool, allowed: bool) -> None:
    configuration = Configuration.of({"enable-protected-configs": permission})
    if allowed:
        configuration.set([("dbfilename", "x.rdb")], local=local)
        assert configuration.get("dbfilename") == "x.rdb"
    else:
        with pytest.raises(CommandError, match="can't set protected config"):
            configuration.set([("dbfilename", "x.rdb")], local=local)


def test_the_table_is_sorted_and_names_nothing_twice() -> None:
    names = [option.name for option in OPTIONS]
    assert names == sorted(names)
    every = [name for option in OPTIONS for name in (option.name, *option.aliases)]
    assert len(every) == len(set(every))
    assert all(len(name) <= 64 and name == name.lower() for name in every)


def test_every_default_is_a_value_that_its_kind_reads_back() -> None:
    for option in OPTIONS:
        shown = option.kind.show(option.default)
        words = shown.split(" ") if option.kind.many and shown else [shown]
        if shown or option.name not in ("dir", "replicaof"):
            assert option.kind.parse(words, () if option.name == "save" else option.default) == option.default


def test_two_configurations_do_not_know_of_each_other() -> None:
    first, second = Configuration(), Configuration()
    first.set([("hz", "20")])
    first.load("user", ["bob", "on"])
    assert second.hz == 10
    assert second.directives == []
