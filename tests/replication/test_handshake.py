"""The handshake of a replica: what it says, in which order, and what it makes of the answers."""

import pytest

from ranvier.replication.handshake import (
    Full,
    Handshake,
    HandshakeError,
    Introduction,
    Partial,
    Position,
    Step,
    TryLater,
    request,
)

ID = "0123456789abcdef0123456789abcdef01234567"
OTHER_ID = "f" * 40


class Talk:
    """A handshake with what it warned of."""

    def __init__(self, introduction: Introduction) -> None:
        self.warnings: list[str] = []
        self.handshake = Handshake(introduction, self.warnings.append)
        assert self.handshake.begin() == b"*1\r\n$4\r\nPING\r\n"

    def say(self, *lines: bytes) -> bytes:
        """The last answer of several lines."""
        answers = [self.handshake.take(line) for line in lines]
        assert not any(answers[:-1])
        return answers[-1]


def at_psync(introduction: Introduction) -> tuple[Talk, bytes]:
    talk = Talk(introduction)
    talk.say(b"+PONG")
    return talk, talk.say(*[b"+OK"] * len(talk.handshake._expected))


def test_all_that_is_told_goes_out_in_one_go_in_valkeys_order() -> None:
    talk = Talk(Introduction(port=77, ip="1.2.3.4", user="us", password="pw"))
    assert talk.say(b"+PONG") == (
        b"*3\r\n$4\r\nAUTH\r\n$2\r\nus\r\n$2\r\npw\r\n"
        b"*3\r\n$8\r\nREPLCONF\r\n$14\r\nlistening-port\r\n$2\r\n77\r\n"
        b"*3\r\n$8\r\nREPLCONF\r\n$10\r\nip-address\r\n$7\r\n1.2.3.4\r\n"
        b"*5\r\n$8\r\nREPLCONF\r\n$4\r\ncapa\r\n$3\r\neof\r\n$4\r\ncapa\r\n$6\r\npsync2\r\n"
        b"*3\r\n$8\r\nREPLCONF\r\n$7\r\nversion\r\n$5\r\n9.1.0\r\n"
    )
    assert talk.say(*[b"+OK"] * 5) == request(b"PSYNC", b"?", b"-1")
    assert talk.warnings == []


def test_a_password_without_a_user() -> None:
    assert Talk(Introduction(port=1, password="pw")).say(b"+PONG").startswith(request(b"AUTH", b"pw"))


@pytest.mark.parametrize("line", [b"-NOAUTH Authentication required.", b"-NOPERM no", b"-ERR operation not permitted"])
def test_a_primary_that_wants_a_password_is_told_it(line: bytes) -> None:
    assert Talk(Introduction(port=1, password="pw")).say(line)


def test_where_it_stands_is_asked_for_from_the_next_byte_on() -> None:
    _, asked = at_psync(Introduction(port=1, known=Position(ID, 1000)))
    assert asked == request(b"PSYNC", ID.encode(), b"1001")
    _, asked = at_psync(Introduction(port=1, known=Position(ID, 1000), failover=True))
    assert asked == request(b"PSYNC", ID.encode(), b"1001", b"FAILOVER")


def test_options_that_an_old_primary_does_not_know_do_no_harm() -> None:
    talk = Talk(Introduction(port=1))
    talk.say(b"+PONG")
    assert talk.say(b"-ERR unknown", b"+OK", b"-ERR Unrecognized REPLCONF option: version").startswith(b"*3")
    assert talk.warnings == [
        "(Non critical) Primary does not understand REPLCONF listening-port: -ERR unknown",
        "(Non critical) Primary does not understand REPLCONF VERSION: -ERR Unrecognized REPLCONF option: version",
    ]


def test_a_wrong_password_ends_it() -> None:
    talk = Talk(Introduction(port=1, password="pw"))
    talk.say(b"+PONG")
    with pytest.raises(HandshakeError, match=r"^Unable to AUTH to PRIMARY: -WRONGPASS no$"):
        talk.say(b"-WRONGPASS no")


@pytest.mark.parametrize("line", [b"", b"-ERR max number of clients reached", b"HTTP/1.1 400", b"-LOADING x"])
def test_what_does_not_answer_ping_is_no_primary(line: bytes) -> None:
    with pytest.raises(HandshakeError, match=r"^Error reply to PING from primary"):
        Talk(Introduction(port=1)).say(line)


def test_empty_lines_say_that_the_primary_is_busy_with_it() -> None:
    talk, _ = at_psync(Introduction(port=1))
    talk.say(b"", b"", b"+FULLRESYNC %b 42" % ID.encode())
    assert talk.handshake.outcome == Full(Position(ID, 42))
    assert talk.handshake.step is Step.OVER


@pytest.mark.parametrize(("line", "outcome"), [
    (b"+CONTINUE", Partial(None)),
    (b"+CONTINUE " + OTHER_ID.encode(), Partial(OTHER_ID)),
])
def test_going_on(line: bytes, outcome: Partial) -> None:
    talk, _ = at_psync(Introduction(port=1, known=Position(ID, 7)))
    talk.say(line)
    assert talk.handshake.outcome == outcome


@pytest.mark.parametrize("line", [
    b"+FULLRESYNC", b"+FULLRESYNC x 1", b"+FULLRESYNC %b" % ID.encode(), b"+FULLRESYNC %b -1" % ID.encode(),
    b"+FULLRESYNC %b 1 2" % ID.encode(), b"+FULLRESYNC %b 9223372036854775808" % ID.encode(),
    b"+FULLRESYNC %b 1" % (b"\xff" * 40), b"+FULLRESYNC %b x" % ID.encode(), b"+FULLRESYNCHRONISE",
    b"+CONTINUE " + b"x" * 39, b"+CONTINUED", b"+CONTINUE %b x" % ID.encode(),
    b"+OK", b"-ERR unknown command", b"-NOAUTH x", b"$5", b"\x00\xff",
])
def test_answers_that_are_none_end_it(line: bytes) -> None:
    talk, _ = at_psync(Introduction(port=1, known=Position(ID, 7)))
    with pytest.raises(HandshakeError) as refusal:
        talk.say(line)
    assert not isinstance(refusal.value, TryLater)
    assert str(refusal.value).isprintable()


def test_nothing_can_be_gone_on_with_that_was_never_begun() -> None:
    talk, _ = at_psync(Introduction(port=1))
    with pytest.raises(HandshakeError, match="never begun"):
        talk.say(b"+CONTINUE")


@pytest.mark.parametrize("line", [
    b"-NOMASTERLINK Can't SYNC while not connected with my master", b"-LOADING Redis is loading the dataset in memory",
])
def test_a_primary_that_cannot_now_is_asked_again(line: bytes) -> None:
    talk, _ = at_psync(Introduction(port=1))
    with pytest.raises(TryLater):
        talk.say(line)


def test_a_failover_that_would_cost_the_data_set_is_refused() -> None:
    talk, _ = at_psync(Introduction(port=1, known=Position(ID, 7), failover=True))
    with pytest.raises(HandshakeError, match="Failover target rejected psync request"):
        talk.say(b"+FULLRESYNC %b 42" % ID.encode())
