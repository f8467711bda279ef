"""What a client costs, from the places that know: its buffers and whatever its modes hang on it.

The arguments of a running request are counted where they lie: in the query buffer, or in a blob of their own, which is
added while the request runs. What many clients wait for is charged to each of them (lifecycle A5-5).
"""

from ranvier.engine.core cimport CLASS_REPLICA, Arg, Call
from ranvier.engine.input cimport query_memory
from ranvier.engine.memory cimport ranvier_usable_size
from ranvier.engine.modes.blocked cimport blocked_bytes
from ranvier.engine.modes.deferred cimport deferred_bytes
from ranvier.engine.modes.monitor cimport Monitor
from ranvier.engine.modes.pubsub cimport subscriptions_bytes
from ranvier.engine.modes.tracking cimport tracker_bytes
from ranvier.engine.modes.transaction cimport transaction_bytes
from ranvier.engine.output cimport output_memory
from ranvier.engine.replication.stream cimport Replica


cdef size_t running_bytes(const Client *client) noexcept nogil:
    """Of the running request: what is not in the query buffer."""
    cdef const Call *call = client.core.call
    cdef size_t i, total = 0
    if call == NULL or call.client != client:
        return 0
    for i in range(call.count):
        if call.args[i].blob != NULL:
            total += ranvier_usable_size(call.args[i].blob)
    return total + call.count * sizeof(Arg)


cdef size_t client_bytes(const Client *client) noexcept nogil:
    return (
        sizeof(Client)
        + query_memory(client)
        + output_memory(client)
        + running_bytes(client)
        + transaction_bytes(client)      # queued commands, and watches
        + subscriptions_bytes(client)
        + blocked_bytes(client)
        + (sizeof(Monitor) if client.monitor != NULL else 0)
        + tracker_bytes(client)          # its prefixes; keys that it read belong to nobody alone
        + deferred_bytes(client)
        + (sizeof(Replica) if client.replica != NULL else 0)     # the stream belongs to all of them
    )


cdef size_t clients_bytes(const Core *core, bint replicas) noexcept nogil:
    cdef const Client *client = core.first
    cdef size_t total = 0
    while client != NULL:
        if (client.client_class == CLASS_REPLICA) == replicas:
            total += client_bytes(client)
        client = client.next
    return total
