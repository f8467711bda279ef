"""Native handlers of the group pubsub; the introspection (PUBSUB) is Python's."""

from libc.stddef cimport size_t
from libc.stdint cimport int64_t

from ranvier.engine.core cimport Call, Client
from ranvier.engine.effects cimport propagates
from ranvier.engine.modes.pubsub cimport (
    KIND_CHANNEL, KIND_PATTERN, KIND_SHARD, Subscriptions, publish, subscribe, subscription_count, unsubscribe,
)
from ranvier.engine.modes.surroundings cimport hush, speak
from ranvier.engine.propagation cimport unit_add
from ranvier.engine.reply cimport reply_bulk, reply_error, reply_header, reply_integer, reply_null, reply_raw

cdef const char *SUBSCRIBED[3]
SUBSCRIBED[:] = [b"$9\r\nsubscribe\r\n", b"$10\r\npsubscribe\r\n", b"$10\r\nssubscribe\r\n"]
cdef const char *UNSUBSCRIBED[3]
UNSUBSCRIBED[:] = [b"$11\r\nunsubscribe\r\n", b"$12\r\npunsubscribe\r\n", b"$12\r\nsunsubscribe\r\n"]

cdef extern from "<string.h>" nogil:
    size_t strlen(const char *text)


cdef native_t pubsub_native(str name) except? NULL:
    if name == "subscribe":
        return subscribe_command
    if name == "psubscribe":
        return psubscribe
    if name == "ssubscribe":
        return ssubscribe
    if name == "unsubscribe":
        return unsubscribe_command
    if name == "punsubscribe":
        return punsubscribe
    if name == "sunsubscribe":
        return sunsubscribe
    if name == "publish":
        return publish_command
    if name == "spublish":
        return spublish
    return NULL


cdef void confirm(Client *client, const char *word, int kind, const char *name, size_t length) noexcept nogil:
    """One confirmation; `name` NULL is null. Shard channels count apart from channels and patterns."""
    cdef size_t count
    reply_header(client, c'>' if client.protocol == 3 else c'*', 3)
    reply_raw(client, word, strlen(word))
    if name == NULL:
        reply_null(client)
    else:
        reply_bulk(client, name, length)
    if kind == KIND_SHARD:
        count = subscription_count(client, KIND_SHARD)
    else:
        count = subscription_count(client, KIND_CHANNEL) + subscription_count(client, KIND_PATTERN)
    reply_integer(client, <int64_t>count)


cdef bint lift_silence(Client *client) noexcept:
    """Confirmations are pushes, which pass in CLIENT REPLY OFF; who is obeyed gets none, as it gets no replies."""
    return not client.obeyed and speak(client)


cdef void subscribe_to(Call *call, int kind) noexcept:
    cdef size_t i
    cdef bint was_silent = lift_silence(call.client)
    for i in range(1, call.count):
        subscribe(call.client, kind, call.args[i].data, call.args[i].length)
        confirm(call.client, SUBSCRIBED[kind], kind, call.args[i].data, call.args[i].length)
    hush(call.client, was_silent)


cdef void unsubscribe_from(Call *call, int kind) noexcept:
    cdef bint was_silent = lift_silence(call.client)
    confirm_unsubscribed(call, kind)
    hush(call.client, was_silent)


cdef void confirm_unsubscribed(Call *call, int kind) noexcept:
    cdef Client *client = call.client
    cdef Subscriptions *mine
    cdef bytes name
    cdef size_t i
    for i in range(1, call.count):
        unsubscribe(client, kind, call.args[i].data, call.args[i].length)
        confirm(client, UNSUBSCRIBED[kind], kind, call.args[i].data, call.args[i].length)
    if call.count > 1:
        return
    if subscription_count(client, kind) == 0:
        confirm(client, UNSUBSCRIBED[kind], kind, NULL, 0)
    while subscription_count(client, kind) > 0:
        mine = <Subscriptions *>client.subscriptions
        name = mine.first[kind].channel.name[:mine.first[kind].channel.length]
        unsubscribe(client, kind, name, len(name))
        confirm(client, UNSUBSCRIBED[kind], kind, name, len(name))


cdef void publish_to(Call *call, int kind) noexcept:
    reply_integer(call.client, publish(call.core, kind, call.args[1].data, call.args[1].length, call.args[2].data,
                                       call.args[2].length))
    if propagates(call):         # as it came: no change of the data set, so the effect call does not see it
        unit_add(call.core, call.database.index, call.args, 3)


cdef void subscribe_command(Call *call) noexcept:
    subscribe_to(call, KIND_CHANNEL)


cdef void psubscribe(Call *call) noexcept:
    subscribe_to(call, KIND_PATTERN)


cdef void ssubscribe(Call *call) noexcept:
    if call.client.transaction != NULL:
        reply_error(call, b"ERR SSUBSCRIBE isn't allowed for a DENY BLOCKING client")
        return
    subscribe_to(call, KIND_SHARD)


cdef void unsubscribe_command(Call *call) noexcept:
    unsubscribe_from(call, KIND_CHANNEL)


cdef void punsubscribe(Call *call) noexcept:
    unsubscribe_from(call, KIND_PATTERN)


cdef void sunsubscribe(Call *call) noexcept:
    unsubscribe_from(call, KIND_SHARD)


cdef void publish_command(Call *call) noexcept:
    publish_to(call, KIND_CHANNEL)


cdef void spublish(Call *call) noexcept:
    publish_to(call, KIND_SHARD)
