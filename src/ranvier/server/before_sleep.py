"""The second half of a turn: what happens between executing requests and sleeping again, in its one written order.

Every line says why it stands where it does. New work gets its place here, with its reason, or it is not done.
"""

from __future__ import annotations

from ranvier.engine.loop import Engine


def before_sleep(engine: Engine) -> None:
    """Do the work that is due before the next poll."""
    # Time-outs and keys that are ready come first: whom they unblock may have more to run.
    engine.blocked.step()
    # Unblocked clients run their saved input first: what they write must be flushed and answered in this turn.
    engine.resume_waiting()
    # Expired keys go before replies leave, so that what a reply implies about memory is true when it is read.
    engine.expire_keys(False)
    # Who waits for replicas has them asked, now that all that they are asked for is in the stream.
    engine.replicas.ask()
    # What changed in this turn, by expiry too, is announced once to those who track prefixes, before replies leave.
    engine.tracking.broadcast()
    # No reply leaves before its change is in the append-only file, under `appendfsync always` on the disk.
    if engine.append_buffer.due:
        engine.hooks.append_step()
    # Replies leave after everything that this turn did to the data set.
    engine.write_replies()
    # Closed clients are freed after the write step, which may close some, and before anything counts clients.
    engine.free_closed()
    # Replicas have what their sockets take, and those that are gone hold nothing: what nobody needs leaves the stream.
    engine.replicas.trim()
    # What the turn has left clients with counts now that replies and closed clients are gone: the largest are evicted.
    engine.client_memory.evict()
    # Memory is what it will be: keys are evicted for a limit that was lowered, or for what no request pays for.
    engine.key_eviction.step()
    # A shutdown goes on when the write step has delivered what was owed and the free step has let go of who left.
    if engine.ending:
        engine.hooks.shutdown_step()
    # Values that were unlinked are freed last: nobody waits for them.
    engine.free_values()
    # Do NOT add anything below: the next thing is the poll.
