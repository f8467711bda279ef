"""CLIENT KILL where it hurts: of oneself in a transaction, of those who wait, of those about to run, of all at once."""

import pytest

from harness.memory import memory_client, memory_server, received, socket_client, turn
from harness.process import ServerProcess
from harness.programs import only_ranvier
from harness.wire import Argument, encode_command


@pytest.mark.parametrize("form", ["ID", "ADDR", "old", "TYPE"])
def test_a7_of_oneself_in_multi_the_whole_array_arrives_then_the_end(form: str, server: ServerProcess) -> None:
    """What stands behind EXEC in the pipeline does not run."""
    only_ranvier(server.kind, "the array is cut off behind the reply to CLIENT KILL")
    with server.connect() as wire, server.connect() as other:
        other.call("DEL", "after-exec")
        identity = wire.call("CLIENT", "ID").number
        address = "{}:{}".format(*wire.socket.getsockname())
        forms: dict[str, tuple[Argument, ...]] = {
            "ID": ("ID", identity, "SKIPME", "no"), "ADDR": ("ADDR", address, "SKIPME", "no"), "old": (address,),
            "TYPE": ("TYPE", "normal", "SKIPME", "no", "ID", identity),
        }
        kill = forms[form]
        wire.send(
            encode_command("MULTI") + encode_command("SET", "in-exec", "1") + encode_command("CLIENT", "KILL", *kill)
            + encode_command("INCR", "in-exec") + encode_command("EXEC") + encode_command("SET", "after-exec", "1")
        )
        answer = b"+OK" if form == "old" else b":1"
        assert wire.read_to_end() == (
            b"+OK\r\n" + b"+QUEUED\r\n" * 3 + b"*3\r\n+OK\r\n" + answer + b"\r\n:2\r\n", "eof"
        )
        assert other.call("GET", "in-exec").raw == b"$1\r\n2\r\n"
        assert other.call("EXISTS", "after-exec").raw == b":0\r\n"


def test_a7_of_many_with_oneself_among_them() -> None:
    """The count is answered, the others get nothing, all are gone."""
    with memory_server() as server, socket_client(server) as killer, socket_client(server) as one, \
            socket_client(server) as two:
        for peer in (one, two):
            peer.send(b"PING\r\n")
            turn(server)
            assert received(peer) == (b"+PONG\r\n", "open")
        # The victims' requests are read in the same turn as the order: what runs behind it finds them closed.
        for peer, request in ((killer, b"CLIENT KILL TYPE normal SKIPME no\r\nPING\r\n"), (one, b"SET a 1\r\n"),
                              (two, b"SET b 1\r\n")):
            peer.send(request)
        turn(server, 3)
        assert received(killer) == (b":3\r\n", "ended")
        assert all(received(peer)[0] in (b"", b"+OK\r\n") for peer in (one, two))
        assert all(received(peer)[1] in ("ended", "reset") for peer in (one, two))
        assert server.engine.client_count == 0


def test_a7_a_victim_in_a_running_exec_is_not_served_by_what_follows() -> None:
    """EXEC kills who waits for a list, then pushes: the element stays, and pushes to the dead are not counted."""
    with memory_server() as server, memory_client(server) as killer, socket_client(server) as waiting, \
            socket_client(server) as subscriber:
        waiting.send(b"BLPOP list 0\r\n")
        turn(server)
        subscriber.send(b"SUBSCRIBE channel\r\n")
        turn(server)
        waiting_id, subscriber_id = (client.id for client in server.engine.clients[1:])
        answered = killer.talk(
            b"MULTI\r\nPUBLISH channel x\r\n"
            + b"".join(encode_command("CLIENT", "KILL", "ID", number) for number in (waiting_id, subscriber_id))
            + b"RPUSH list a\r\nPUBLISH channel y\r\nLLEN list\r\nEXEC\r\n"
        )
        assert answered.endswith(b"*6\r\n:1\r\n:1\r\n:1\r\n:1\r\n:0\r\n:1\r\n")
        turn(server, 2)
        assert received(waiting) == (b"", "ended")
        assert received(subscriber)[0].count(b"message") == 0        # dropped with everything it was owed
        assert killer.talk(b"LRANGE list 0 -1\r\n") == b"*1\r\n$1\r\na\r\n"


def test_a7_whoever_is_unblocked_may_kill_whoever_unblocked_it() -> None:
    """The pipeline behind a served BLPOP kills the pusher, whose own reply was not written yet: it is dropped."""
    with memory_server() as server, socket_client(server) as waiting, socket_client(server) as pusher:
        turn(server)
        pusher_id = server.engine.clients[1].id
        waiting.send(b"BLPOP list 0\r\n" + encode_command("CLIENT", "KILL", "ID", pusher_id) + b"PING\r\n")
        turn(server)
        pusher.send(b"RPUSH list a\r\nPING\r\n")
        turn(server, 3)
        assert received(waiting) == (b"*2\r\n$4\r\nlist\r\n$1\r\na\r\n:1\r\n+PONG\r\n", "open")
        assert received(pusher)[1] == "ended"
        assert server.engine.client_count == 1


def test_lesson_01_a_crowd_that_waits_is_killed_while_its_key_is_served() -> None:
    """Each of those who are served kills the next one in the queue: half of them get an element, nobody twice."""
    count = 40
    with memory_server() as server, memory_client(server) as pusher:
        contexts = [socket_client(server) for _ in range(count)]
        peers = [context.__enter__() for context in contexts]
        turn(server)
        ids = [client.id for client in server.engine.clients[1:]]
        for number, peer in enumerate(peers):
            victim = encode_command("CLIENT", "KILL", "ID", ids[(number + 1) % count])
            peer.send(b"MULTI\r\nPING\r\nEXEC\r\nBLPOP list 0\r\n" + victim)
        turn(server, 2)
        for peer in peers:
            received(peer)
        assert int(server.engine.blocked.figures()["blocked_clients"]) == count
        for _ in range(count):
            pusher.talk(b"RPUSH list x\r\n")
            turn(server)
        served = sum(received(peer)[0].count(b"$1\r\nx\r\n") for peer in peers)
        left = int(pusher.talk(b"LLEN list\r\n")[1:])
        assert served == count // 2
        assert left == count - served
        assert server.engine.blocked.figures()["total_blocking_keys"] == 0
        for context in contexts:
            context.__exit__(None, None, None)


def test_lesson_01_a_close_is_idempotent() -> None:
    with memory_server() as server, memory_client(server) as other, socket_client(server) as peer:
        peer.send(b"SUBSCRIBE a\r\n")
        turn(server)
        handle = server.engine.clients[-1]
        for _ in range(3):
            handle.close()
            handle.finish()
        assert handle.close_reason == "killed"
        for _ in range(3):
            server.engine.free_closed()
        assert server.engine.client_count == 1
        assert b"killed=1," in other.talk(b"INFO stats\r\n")
