"""Configuration files, standard input and command-line options: what is read, and what is refused where."""

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config.reference import first_refusal
from ranvier.config.file import COMMAND_LINE, INCLUDE_DEPTH_MAX, STANDARD_INPUT, load, parse_arguments
from ranvier.config.kinds import OutputLimit, SavePoint
from ranvier.config.option_table import OPTION_BY_NAME
from ranvier.config.options import Configuration
from ranvier.config.words import decode, encode, quote
from ranvier.errors import ConfigurationError

# Every one is refused at some line by valkey-server, at the same text and for the same reason as here.
REFUSED_FILES = [
    "hz bad", "# x\n\n  hz   bad  # no", 'hz "10" 11', 'hz "10', 'hz "a"b', "nosuch 1", "hz", "HZ bad", '"hz" bad',
    "hz 'ba\\'d'", "hz b\\x41", 'hz "b\\x41\\n"', "include", "include a b", "rename-command get", "user",
    "loadmodule ", "sentinel monitor x", "replicaof a 99999", "replicaof a", "save 900", 'save "" 1',
    "save 900 1 300", "client-output-buffer-limit normal 0 0", "client-output-buffer-limit foo 0 0 0",
    "client-output-buffer-limit normal 1mb x 0", 'client-output-buffer-limit ""', "lua-replicate-commands x y",
    "lua-replicate-commands", "requirepass a b", "maxclients 0", "port 65536", "unixsocketperm 888",
    "dir /nonexistent/directory", 'dir ""', "oom-score-adj-values 1 2", 'notify-keyspace-events "K E A"',
    "notify-keyspace-events ?", "\tport\t0\t\r\nhz bad\r", 'client-output-buffer-limit "pubsub 1 1 1" x',
    "maxmemory 1x", "port 0\nport 1 2\nhz bad",
]  # fmt: skip

TAKEN_FILES = [
    "", "# only a comment", 'rename-command get ""', 'loadmodule ""', "loadmodule /x a b", "slaveof no one",
    "slaveof 127.0.0.1 1", 'save 900 1\nsave ""',
    "lua-replicate-commands yes\nevents-per-io-thread 2\ndynamic-hz yes\nio-threads-do-reads yes",
    'save "900 1 300 10"', "include /nonexistent/directory/*", "shutdown-on-sigterm nosave force", 'bind "a b" c',
    'bind ""', "user bob on nopass", "HZ 20\nPort 0", "hz\t20", " hz  '20' ", "enable-debug-command LOCAL",
]  # fmt: skip

ARGUMENTS = [
    ["--hz", "bad"], ["--hz"], ["--hz", "10", "11"], ["--hz", "--port", "0"], ["--nosuch", "1"],
    ["--port", "0", "nosuch"], ["--save", "", "--hz", "bad"], ["--save", "--hz", "bad"], ["--save", "900", "1"],
    ["--save", "900 1 300"], ["--save", "1"], ["--bind", "1.1.1.1", "2.2.2.2"], ["--requirepass", "a b"],
    ["--requirepass", "--x"], ["--requirepass", 'a"b'], ["--hz bad"],
    ["--client-output-buffer-limit", "pubsub 32mb 8mb 60 normal 1 1 1"],
    ["--client-output-buffer-limit", "pubsub", "32mb", "8mb"], ["--loadmodule", ""],
    ["--rdbcompression", "--hz", "bad"], ["--hz  10", "--hz", "11"], ["--port", "-1"], ["--", "x"],
    ["--list-max-listpack-size", "-3"], ["--list-max-listpack-size", "--3"], ["--port", "0", "--", "--hz", "bad"],
    ["-port", "0"], ["--shutdown-on-sigint", "nosave", "--force"], ["--proc-title-template", "--my--title--{bad}"],
    ["--hz", "b\nad"], ["--proc-title-template", "--my--title"], ["--oom-score-adj-values", "1 2 3"],
    ["--notify-keyspace-events", "K E A"], ["--user", "bob", "on"], ["--user", "bob on +@all"],
    ["--replicaof", "127.0.0.1", "99999"], ["--replicaof", "1 2"], ["--enable-debug-command", "LOCAL"],
    ["--tls-port", "99999999"], ["--SAVE"], ["--Port", "0"], ["--logfile", "x\ty"], ["--port", "0", "-"],
    ["-", "--port", "x"], ["--port", "-", "--hz", "1"],
]  # fmt: skip


def read(text: str = "", *arguments: str) -> Configuration:
    """The configuration from standard input and options."""
    configuration = Configuration()
    load(configuration, parse_arguments(["-", *arguments] if text else arguments), lambda: encode(text))
    return configuration


def refused(text: str = "", *arguments: str) -> ConfigurationError:
    with pytest.raises(ConfigurationError) as caught:
        read(text, *arguments)
    return caught.value


@pytest.mark.parametrize("text", REFUSED_FILES)
def test_a_file_is_refused_where_valkey_refuses_it(text: str) -> None:
    reference = first_refusal(text)
    assert reference is not None
    error = refused(text)
    assert (error.text, error.reason, error.file) == (reference.text, reference.reason, STANDARD_INPUT)


@pytest.mark.parametrize("text", TAKEN_FILES)
def test_a_file_is_taken_where_valkey_takes_it(text: str) -> None:
    assert first_refusal(text) is None
    read(text)


@pytest.mark.parametrize("arguments", ARGUMENTS, ids=" ".join)
def test_options_are_taken_or_refused_as_by_valkey(arguments: list[str], tmp_path: Path) -> None:
    """The harness puts a refused option behind; one that still waits for its value takes the place of the value."""
    reference = first_refusal(options=arguments, directory=tmp_path)
    try:
        load(Configuration(), parse_arguments([*arguments, "--hz", "none of yours"]), lambda: b"")
    except ConfigurationError as error:
        shown = (error.text, error.reason)
    if reference is None:
        assert shown[0] == 'hz "none of yours"'
    else:
        assert shown == (reference.text, reference.reason)


def test_the_line_is_counted_and_the_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.conf"
    path.write_text("# one\n\nport 0\n   hz bad  \n")
    configuration = Configuration()
    with pytest.raises(ConfigurationError) as caught:
        load(configuration, parse_arguments([str(path)]), lambda: b"")
    assert (caught.value.file, caught.value.line, caught.value.text) == (str(path), 4, "hz bad")
    assert refused("", "--port", "0", "--hz", "bad").line == 2
    assert refused("", "--port", "0", "--hz", "bad").file == COMMAND_LINE


def test_options_override_standard_input_which_overrides_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.conf"
    path.write_text("hz 11\ntimeout 11\ntcp-keepalive 11\n")
    configuration = Configuration()
    load(configuration, parse_arguments([str(path), "--hz", "13", "-"]), lambda: b"hz 12\ntimeout 12\n")
    assert (configuration.hz, configuration.timeout_seconds, configuration.tcp_keepalive_seconds) == (13, 12, 11)
    assert configuration.provenance.file == str(path)


def test_a_relative_file_is_remembered_by_its_absolute_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.conf").write_text("dir /tmp\n")
    monkeypatch.chdir(tmp_path)
    configuration = Configuration()
    load(configuration, parse_arguments(["a.conf"]), lambda: b"")
    assert configuration.provenance.file == str(tmp_path / "a.conf")


def test_a_missing_file_is_an_error_without_a_line() -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(Configuration(), parse_arguments(["/nonexistent/a.conf"]), lambda: b"")
    assert caught.value.reason == "can't open config file '/nonexistent/a.conf': No such file or directory"
    assert caught.value.line == 0


def test_included_files_are_read_in_place_and_in_order(tmp_path: Path) -> None:
    (tmp_path / "b2.conf").write_text("hz 12\ntimeout 2\n")
    (tmp_path / "b1.conf").write_text("hz 11\ntimeout 1\n")
    (tmp_path / "last.conf").write_text("tcp-keepalive 7")
    text = f"hz 10\ninclude {tmp_path}/b*.conf\ntimeout 3\ninclude {tmp_path}/last.conf\n"
    configuration = read(text)
    assert (configuration.hz, configuration.timeout_seconds, configuration.tcp_keepalive_seconds) == (12, 3, 7)


def test_an_error_in_an_included_file_names_that_file(tmp_path: Path) -> None:
    path = tmp_path / "b.conf"
    path.write_text("\nhz bad")
    error = refused(f"port 0\ninclude {path}")
    assert (error.file, error.line, error.text) == (str(path), 2, "hz bad")


def test_a_missing_included_file_names_the_line_that_includes_it() -> None:
    error = refused("port 0\ninclude /nonexistent/b.conf")
    assert error.reason == "can't open config file '/nonexistent/b.conf': No such file or directory"
    assert (error.file, error.line) == (STANDARD_INPUT, 2)


def test_files_that_include_each_other_end_with_an_error(tmp_path: Path) -> None:
    path = tmp_path / "ring.conf"
    path.write_text(f"include {path}\n")
    assert str(INCLUDE_DEPTH_MAX) in refused(f"include {path}").reason


NAMES = [*sorted(OPTION_BY_NAME), "include", "user", "rename-command", "loadmodule", "sentinel", "nosuch", "#", "-"]
WORDS = st.one_of(
    st.sampled_from(["", "yes", "no", "0", "1", "-1", "1gb", "10%", "normal", "/", "/tmp", "a/b", "*", "\\", "'", '"']),
    st.text(max_size=8),
    st.binary(max_size=8).map(decode).map(quote),
)


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from(NAMES), st.lists(WORDS, max_size=5)), max_size=6))
def test_any_file_is_taken_or_refused_by_a_configuration_error(lines: list[tuple[str, list[str]]]) -> None:
    text = "\n".join(" ".join([name, *words]) for name, words in lines)
    try:
        configuration = read(text)
    except ConfigurationError as error:
        assert error.reason
    else:
        assert len(configuration.match(["*"])) > 200


def test_bytes_that_are_not_utf_8_go_through() -> None:
    configuration = Configuration()
    load(configuration, parse_arguments(["-"]), lambda: b'requirepass "\xff\xfe"\navailability-zone \xe9')
    assert os.fsencode(configuration.requirepass) == b"\xff\xfe"
    assert configuration.availability_zone.encode("utf-8", "surrogateescape") == b"\xe9"


def test_save_lines_replace_the_built_in_points_and_add_to_each_other() -> None:
    assert read("save 900 1\nsave 300 10").save == (SavePoint(900, 1), SavePoint(300, 10))
    assert read('save 900 1\nsave ""').save == ()
    assert read('save 900 1\nsave ""\nsave 5 6').save == (SavePoint(5, 6),)
    assert read("save 900 1", "--save", "").save == ()
    assert read("hz 10").save == Configuration().save != ()


def test_output_limits_change_only_the_classes_they_name() -> None:
    limits = read("", "--client-output-buffer-limit", "pubsub 1mb 2kb 3").client_output_buffer_limit
    assert limits.pubsub == OutputLimit(1024**2, 2048, 3)
    assert limits.normal == OutputLimit(0, 0, 0)
    assert limits.replica == OutputLimit(256 * 1024**2, 64 * 1024**2, 60)
    text = "client-output-buffer-limit slave 1 2 3\nclient-output-buffer-limit normal 4 5 6"
    limits = read(text).client_output_buffer_limit
    assert (limits.replica, limits.normal) == (OutputLimit(1, 2, 3), OutputLimit(4, 5, 6))


def test_options_that_do_nothing_yet_are_named_and_obeyed_ones_are_not() -> None:
    assert read("", "--port", "0", "--save", "", "--appendonly", "no", "--hz", "20").without_effect() == []
    names = ["tls-replication", "loadmodule", "lua-replicate-commands", "io-threads"]
    text = "tls-replication yes\nsave 1 1\nloadmodule ''\nlua-replicate-commands yes\nio-threads 4"
    assert read(text).without_effect() == names


def test_a_directory_is_made_absolute_and_must_be_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "file").write_text("")
    assert read("dir a\ndir b").dir == str(tmp_path / "a" / "b")
    assert refused("dir file").reason == "Not a directory"
    assert refused("dir none").reason == "No such file or directory"
    assert Configuration().dir == str(tmp_path)


def test_python_values_make_a_configuration() -> None:
    configuration = Configuration.of(
        {"port": 0, "save": "", "lazyfree_lazy_expire": False, "bind": ["::1", "127.0.0.1"], "requirepass": b"\xff"}
    )
    assert (configuration.port, configuration.save, configuration.lazyfree_lazy_expire) == (0, (), False)
    assert configuration.bind == ("::1", "127.0.0.1")
    assert os.fsencode(configuration.requirepass) == b"\xff"
    with pytest.raises(ConfigurationError, match="Bad directive"):
        Configuration.of({"no_such_option": 1})
