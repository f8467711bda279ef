"""Pub/Sub: who is subscribed to what, and how a message reaches them."""

from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint32_t

from ranvier.engine.core cimport Client, Core
from ranvier.engine.memory cimport Blob, Memory
from ranvier.engine.store.table cimport Table

cdef enum ChannelKind:
    KIND_CHANNEL = 0
    KIND_PATTERN = 1
    KIND_SHARD = 2
    KINDS = 3

# One client on one channel. The first two members are its key in PubSub.subscriptions.
cdef struct Subscription:
    Channel *channel
    Client *client
    size_t index                 # in channel.subscribers
    Subscription *next           # of the client and of the same kind, in the order of subscribing
    Subscription *previous

cdef struct Subscriber:
    Client *client
    Subscription *subscription

# A channel, a pattern or a shard channel; exists while it has subscribers.
cdef struct Channel:
    int kind
    size_t count
    size_t capacity
    Subscriber *subscribers
    Channel *next                # all of its kind, in the order of their first subscription
    Channel *previous
    size_t length
    char *name                   # behind the struct

# The mode object of a client that is subscribed (Client.subscriptions).
cdef struct Subscriptions:
    size_t[3] counts             # by kind
    Subscription *first[3]
    Subscription *last[3]

# What a server has of it (Core.pubsub).
cdef struct PubSub:
    Memory *memory
    Table channels[3]            # by kind
    Channel *first[3]
    Channel *last[3]
    Table subscriptions
    size_t client_count
    size_t free_blocks           # kept for clients that are not subscribed
    size_t subscriber_blocks     # kept for subscribers at most
    size_t shared_bytes          # a message this long is shared by its receivers, a shorter one copied

cdef class PubSubHandle:
    cdef Core *core
    cdef PubSub state

cdef PubSubHandle pubsub_handle(Core *core, tuple seeds)

# False when the client was subscribed already.
cdef bint subscribe(Client *client, int kind, const char *name, size_t length) noexcept nogil
# False when it was not.
cdef bint unsubscribe(Client *client, int kind, const char *name, size_t length) noexcept nogil
cdef Channel *find_channel(PubSub *pubsub, int kind, const char *name, size_t length) noexcept nogil
# Deliver to channel subscribers, then (not for a shard channel) to those of matching patterns. How many there were.
cdef int64_t publish(Core *core, int kind, const char *name, size_t length, const char *message,
                     size_t message_length) noexcept nogil
# A keyspace event, if its class is notified.
cdef void notify(Core *core, int database, uint32_t event_class, const char *event, const char *key,
                 size_t length) noexcept nogil
# Leave every channel and pattern, silently. Idempotent.
cdef void leave_pubsub(Client *client) noexcept nogil
# Close or open the gate that keeps a RESP2 subscriber to a few commands: after a change of protocol or count.
cdef void update_subscriber_gate(Client *client) noexcept nogil
cdef size_t subscriptions_bytes(const Client *client) noexcept nogil


cdef inline size_t subscription_count(const Client *client, int kind) noexcept nogil:
    return 0 if client.subscriptions == NULL else (<Subscriptions *>client.subscriptions).counts[kind]
