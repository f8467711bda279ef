"""Answers of clients in memory, counted against requests (lesson 20; `harness/ledger.py` says how)."""

from weakref import WeakSet

from harness.ledger import Ledger
from harness.memory import read_replies
from ranvier.commands.client_line import client_flags
from ranvier.shells.memory import MemoryClient

# Of CLIENT LIST: blocked, subscribed, watching others, tracking, closing.
NOT_ONE_FOR_ONE = frozenset("bPOtcA")


def audit(client_class: type[MemoryClient]) -> None:
    """Have every client in memory compare answers with requests, call by call (lesson 20).

    Whenever nothing is in the way: it was between two requests before and is after, owed nothing before, and is in no
    mode in which more or less than one answer is right. Then both numbers are exact.
    """
    talk = client_class.talk
    silenced: WeakSet[MemoryClient] = WeakSet()

    def is_simple(client: MemoryClient) -> bool:
        return not (client in silenced or client.handle.closed or client.handle.describe()["qbuf"]
                    or NOT_ONE_FOR_ONE & set(client_flags(client.handle)))

    def owes(client: MemoryClient) -> bool:
        fields = client.handle.describe()
        return bool(fields["obl"] or fields["omem"])

    def audited_talk(client: MemoryClient, data: bytes) -> bytes:
        simple = is_simple(client) and not owes(client)
        answered = talk(client, data)
        ledger = Ledger()
        ledger.sent(data)
        if not ledger.counted:
            silenced.add(client)
        if simple and ledger.is_between_requests and is_simple(client):
            answers = sum(reply.kind != b">" for reply in read_replies(answered))
            assert answers == ledger.requests, f"{answers} answers to {ledger.requests} requests: {data[:200]!r}"
        return answered

    setattr(client_class, "talk", audited_talk)  # noqa: B010
