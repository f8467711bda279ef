"""Pub/Sub: subscriptions, and the fan-out of messages.

A channel holds its subscribers in an array, so that a message runs over memory in one direction; a subscription knows
its place in it, so that leaving is one swap with the last. One table of the whole server finds the subscription of a
client to a channel, and a list of the client holds all it has: a client with one channel costs a hundred bytes.

A message is encoded once. The two protocols differ in its first byte alone, so a short message is copied to each
receiver and the byte put right; a long one becomes at most two blobs (one per protocol), which the output buffers refer
to and which are charged in full to every client that waits for them.

Invariants: a channel without subscribers does not exist; nothing here tears a client down (a receiver over its limit
is only marked), so the arrays stand still during a fan-out; what is published to the client whose command is running
waits (engine/modes/deferred) until the command has replied (lifecycle A5-6).
"""

from libc.stdint cimport uint64_t
from libc.string cimport memcpy, memset, strlen

from ranvier.engine.core cimport (
    CLASS_NORMAL,
    CLASS_PUBSUB,
    EFFECT_NOTIFIED,
    EVENT_EVICTED,
    EVENT_EXPIRED,
    EVENT_GENERIC,
    EVENT_HASH,
    EVENT_KEY_MISS,
    EVENT_LIST,
    EVENT_NEW,
    EVENT_SET,
    EVENT_SORTED_SET,
    EVENT_STREAM,
    EVENT_STRING,
    GATE_SUBSCRIBED,
    NOTIFY_KEYEVENT,
    NOTIFY_KEYSPACE,
    PHASE_CLOSING_AFTER_REPLY,
)
from ranvier.engine.memory cimport allocate, blob_data, blob_new, blob_release, release, resize
from ranvier.engine.modes.deferred cimport DEFERRED_MESSAGE, defer
from ranvier.engine.modes.glob cimport glob_match
from ranvier.engine.number cimport print_integer
from ranvier.engine.output cimport free_spare_blocks, output_commit, output_reference, output_room
from ranvier.engine.store.database cimport Database
from ranvier.engine.store.table cimport (
    Layout, hash_bytes, table_clear, table_find, table_init, table_insert, table_remove,
)

from ranvier import limits

cdef extern from *:
    """
    #define ranvier_prefetch(p) __builtin_prefetch(p, 1)
    """
    void ranvier_prefetch(const void *p) noexcept nogil

cdef enum:
    SUBSCRIPTION_KEY_BYTES = 16      # channel and client: the first two members
    COPIED_BYTES = 4096              # room that output_room gives at most
    FRAME_BYTES = 128                # headers of a message: four lengths, the type word and line ends
    NAME_BYTES = 512                 # a notification's channel up to this is built on the stack
    AHEAD = 4                        # receivers whose memory is fetched before their turn

cdef const char *MESSAGE_WORDS[3]
MESSAGE_WORDS[:] = [b"message", b"pmessage", b"smessage"]

NOTIFIED_LETTERS = {
    "g": <int>EVENT_GENERIC, "$": <int>EVENT_STRING, "l": <int>EVENT_LIST, "s": <int>EVENT_SET, "h": <int>EVENT_HASH,
    "z": <int>EVENT_SORTED_SET, "x": <int>EVENT_EXPIRED, "e": <int>EVENT_EVICTED, "t": <int>EVENT_STREAM,
    "n": <int>EVENT_NEW, "m": <int>EVENT_KEY_MISS, "K": <int>NOTIFY_KEYSPACE, "E": <int>NOTIFY_KEYEVENT,
}
EVERY_CLASS = "g$lshzxet"            # what the letter A stands for

cdef struct Message:
    const Channel *channel           # whose subscribers receive it
    const char *name                 # the channel it was published to
    size_t name_length
    const char *text
    size_t text_length
    size_t size                      # encoded
    Blob *blobs[2]                   # by protocol, when the message is shared
    char encoded[4096]               # for RESP3, when it is copied


# ---- the tables ------------------------------------------------------------------------------------------------------

cdef const char *channel_key(const void *item, size_t *length) noexcept nogil:
    length[0] = (<const Channel *>item).length
    return (<const Channel *>item).name


cdef const char *subscription_key(const void *item, size_t *length) noexcept nogil:
    length[0] = SUBSCRIPTION_KEY_BYTES
    return <const char *>item


cdef Layout CHANNEL_LAYOUT
CHANNEL_LAYOUT.key = channel_key
CHANNEL_LAYOUT.free = NULL
cdef Layout SUBSCRIPTION_LAYOUT
SUBSCRIPTION_LAYOUT.key = subscription_key
SUBSCRIPTION_LAYOUT.free = NULL


cdef inline uint64_t hash_in(const Table *table, const char *key, size_t length) noexcept nogil:
    return hash_bytes(table.seed0, table.seed1, key, length)


cdef Channel *find_channel(PubSub *pubsub, int kind, const char *name, size_t length) noexcept nogil:
    cdef Table *table = &pubsub.channels[kind]
    cdef void **slot
    if table.count == 0:
        return NULL
    slot = table_find(table, hash_in(table, name, length), name, length)
    return NULL if slot == NULL else <Channel *>slot[0]


cdef Subscription *find_subscription(PubSub *pubsub, Channel *channel, Client *client) noexcept nogil:
    cdef Subscription wanted
    cdef void **slot
    wanted.channel = channel
    wanted.client = client
    slot = table_find(&pubsub.subscriptions, hash_in(&pubsub.subscriptions, <const char *>&wanted,
                                                     SUBSCRIPTION_KEY_BYTES),
                      <const char *>&wanted, SUBSCRIPTION_KEY_BYTES)
    return NULL if slot == NULL else <Subscription *>slot[0]


cdef Channel *create_channel(PubSub *pubsub, int kind, const char *name, size_t length) noexcept nogil:
    cdef Channel *channel = <Channel *>allocate(pubsub.memory, sizeof(Channel) + length)
    memset(channel, 0, sizeof(Channel))
    channel.kind = kind
    channel.length = length
    channel.name = <char *>(channel + 1)
    memcpy(channel.name, name, length)
    channel.previous = pubsub.last[kind]
    if channel.previous != NULL:
        channel.previous.next = channel
    else:
        pubsub.first[kind] = channel
    pubsub.last[kind] = channel
    table_insert(&pubsub.channels[kind], hash_in(&pubsub.channels[kind], name, length), channel)
    return channel


cdef void drop_channel(PubSub *pubsub, Channel *channel) noexcept nogil:
    cdef int kind = channel.kind
    if channel.previous != NULL:
        channel.previous.next = channel.next
    else:
        pubsub.first[kind] = channel.next
    if channel.next != NULL:
        channel.next.previous = channel.previous
    else:
        pubsub.last[kind] = channel.previous
    table_remove(&pubsub.channels[kind], hash_in(&pubsub.channels[kind], channel.name, channel.length), channel.name,
                 channel.length)
    release(pubsub.memory, channel.subscribers)
    release(pubsub.memory, channel)


cdef void set_capacity(PubSub *pubsub, Channel *channel, size_t capacity) noexcept nogil:
    channel.capacity = capacity
    channel.subscribers = <Subscriber *>resize(pubsub.memory, channel.subscribers, capacity * sizeof(Subscriber))


# ---- subscribing -----------------------------------------------------------------------------------------------------

cdef Subscriptions *enter_pubsub(PubSub *pubsub, Client *client) noexcept nogil:
    """The client's mode object, made at need."""
    cdef Subscriptions *mine = <Subscriptions *>client.subscriptions
    if mine == NULL:
        mine = <Subscriptions *>allocate(pubsub.memory, sizeof(Subscriptions))
        memset(mine, 0, sizeof(Subscriptions))
        client.subscriptions = mine
    return mine


cdef inline size_t total(const Subscriptions *mine) noexcept nogil:
    return mine.counts[0] + mine.counts[1] + mine.counts[2]


cdef void count_clients(Core *core, int change) noexcept nogil:
    """One subscriber more or less; a message to all of them takes an output block for each, and gives it back.

    Without spare ones, most of a fan-out's own time went into the allocator and the page faults behind it.
    """
    cdef PubSub *pubsub = <PubSub *>core.pubsub
    pubsub.client_count += change
    core.limits.free_blocks = pubsub.free_blocks + (
        pubsub.client_count if pubsub.client_count < pubsub.subscriber_blocks else pubsub.subscriber_blocks)
    free_spare_blocks(core, core.limits.free_blocks)


cdef bint subscribe(Client *client, int kind, const char *name, size_t length) noexcept nogil:
    cdef PubSub *pubsub = <PubSub *>client.core.pubsub
    cdef Channel *channel = find_channel(pubsub, kind, name, length)
    cdef Subscriptions *mine
    cdef Subscription *subscription
    if channel == NULL:
        channel = create_channel(pubsub, kind, name, length)
    elif find_subscription(pubsub, channel, client) != NULL:
        return False
    mine = enter_pubsub(pubsub, client)
    subscription = <Subscription *>allocate(pubsub.memory, sizeof(Subscription))
    subscription.channel = channel
    subscription.client = client
    subscription.index = channel.count
    subscription.next = NULL
    subscription.previous = mine.last[kind]
    if subscription.previous != NULL:
        subscription.previous.next = subscription
    else:
        mine.first[kind] = subscription
    mine.last[kind] = subscription
    if channel.count == channel.capacity:
        set_capacity(pubsub, channel, 2 * channel.capacity if channel.capacity > 0 else 1)
    channel.subscribers[channel.count].client = client
    channel.subscribers[channel.count].subscription = subscription
    channel.count += 1
    table_insert(&pubsub.subscriptions,
                 hash_in(&pubsub.subscriptions, <const char *>subscription, SUBSCRIPTION_KEY_BYTES), subscription)
    mine.counts[kind] += 1
    if total(mine) == 1:
        count_clients(client.core, 1)
        if client.client_class == CLASS_NORMAL:
            client.client_class = CLASS_PUBSUB
        update_subscriber_gate(client)
    return True


cdef void detach(PubSub *pubsub, Subscription *subscription) noexcept nogil:
    """Undo one subscription; the mode object stays."""
    cdef Channel *channel = subscription.channel
    cdef Subscriptions *mine = <Subscriptions *>subscription.client.subscriptions
    cdef int kind = channel.kind
    cdef Subscriber *place = &channel.subscribers[subscription.index]
    table_remove(&pubsub.subscriptions,
                 hash_in(&pubsub.subscriptions, <const char *>subscription, SUBSCRIPTION_KEY_BYTES),
                 <const char *>subscription, SUBSCRIPTION_KEY_BYTES)
    if subscription.previous != NULL:
        subscription.previous.next = subscription.next
    else:
        mine.first[kind] = subscription.next
    if subscription.next != NULL:
        subscription.next.previous = subscription.previous
    else:
        mine.last[kind] = subscription.previous
    mine.counts[kind] -= 1
    channel.count -= 1
    place[0] = channel.subscribers[channel.count]
    place.subscription.index = subscription.index
    release(pubsub.memory, subscription)
    if channel.count == 0:
        drop_channel(pubsub, channel)
    elif channel.count * 4 <= channel.capacity:
        set_capacity(pubsub, channel, channel.capacity // 2)


cdef void leave_if_empty(PubSub *pubsub, Client *client) noexcept nogil:
    cdef Subscriptions *mine = <Subscriptions *>client.subscriptions
    if total(mine) > 0:
        return
    count_clients(client.core, -1)
    if client.client_class == CLASS_PUBSUB:
        client.client_class = CLASS_NORMAL
    release(pubsub.memory, mine)
    client.subscriptions = NULL
    update_subscriber_gate(client)


cdef bint unsubscribe(Client *client, int kind, const char *name, size_t length) noexcept nogil:
    cdef PubSub *pubsub = <PubSub *>client.core.pubsub
    cdef Channel *channel = find_channel(pubsub, kind, name, length)
    cdef Subscription *subscription
    if channel == NULL:
        return False
    subscription = find_subscription(pubsub, channel, client)
    if subscription == NULL:
        return False
    detach(pubsub, subscription)
    leave_if_empty(pubsub, client)
    return True


cdef void leave_pubsub(Client *client) noexcept nogil:
    cdef PubSub *pubsub = <PubSub *>client.core.pubsub
    cdef Subscriptions *mine = <Subscriptions *>client.subscriptions
    cdef int kind
    if mine == NULL:
        return
    for kind in range(<int>KINDS):
        while mine.first[kind] != NULL:
            detach(pubsub, mine.first[kind])
    leave_if_empty(pubsub, client)


cdef void update_subscriber_gate(Client *client) noexcept nogil:
    cdef Subscriptions *mine = <Subscriptions *>client.subscriptions
    if mine != NULL and client.protocol == 2 and total(mine) > 0:
        client.gates |= GATE_SUBSCRIBED
    else:
        client.gates &= ~<uint32_t>GATE_SUBSCRIBED


cdef size_t subscriptions_bytes(const Client *client) noexcept nogil:
    cdef const Subscriptions *mine = <const Subscriptions *>client.subscriptions
    if mine == NULL:
        return 0
    return sizeof(Subscriptions) + total(mine) * (sizeof(Subscription) + sizeof(Subscriber))


# ---- the fan-out -----------------------------------------------------------------------------------------------------

cdef inline size_t put_bulk(char *target, const char *data, size_t length) noexcept nogil:
    cdef size_t head
    target[0] = c'$'
    head = 1 + print_integer(target + 1, <int64_t>length)
    target[head] = c'\r'
    target[head + 1] = c'\n'
    memcpy(target + head + 2, data, length)
    target[head + 2 + length] = c'\r'
    target[head + 3 + length] = c'\n'
    return head + length + 4


cdef size_t encode(const Message *message, char *target, int protocol) noexcept nogil:
    cdef const Channel *channel = message.channel
    cdef const char *word = MESSAGE_WORDS[channel.kind]
    cdef size_t size = 4
    target[0] = c'>' if protocol == 3 else c'*'
    target[1] = c'4' if channel.kind == KIND_PATTERN else c'3'
    target[2] = c'\r'
    target[3] = c'\n'
    size += put_bulk(target + size, word, strlen(word))
    if channel.kind == KIND_PATTERN:
        size += put_bulk(target + size, channel.name, channel.length)
    size += put_bulk(target + size, message.name, message.name_length)
    return size + put_bulk(target + size, message.text, message.text_length)


cdef Blob *shared_form(Core *core, Message *message, int protocol) noexcept nogil:
    cdef Blob *blob = message.blobs[protocol - 2]
    if blob == NULL:
        blob = blob_new(&core.memory, message.size)
        blob.size = encode(message, blob_data(blob), protocol)
        message.blobs[protocol - 2] = blob
    return blob


cdef inline void deliver_copy(const Message *message, Client *client, const Client *running) noexcept nogil:
    cdef char *target
    if client.phase >= PHASE_CLOSING_AFTER_REPLY:
        return
    if client == running:
        target = defer(client, DEFERRED_MESSAGE, message.encoded, message.size)
        if target != NULL and client.protocol == 2:
            target[0] = c'*'
        return
    target = output_room(client, message.size)
    memcpy(target, message.encoded, message.size)
    if client.protocol == 2:
        target[0] = c'*'
    output_commit(client, message.size)


cdef inline void deliver_shared(Core *core, Message *message, Client *client, const Client *running) noexcept nogil:
    cdef Blob *blob
    if client.phase >= PHASE_CLOSING_AFTER_REPLY:
        return
    blob = shared_form(core, message, client.protocol)
    if client == running:
        defer(client, DEFERRED_MESSAGE, blob_data(blob), blob.size)
    else:
        output_reference(client, blob, blob_data(blob), blob.size)


cdef void deliver(Core *core, const Channel *channel, const char *name, size_t length, const char *text,
                  size_t text_length) noexcept nogil:
    """Send one message to all subscribers of a channel or a pattern."""
    cdef Message message
    cdef size_t i, longest = ((<PubSub *>core.pubsub).shared_bytes)
    cdef const Client *running = NULL if core.call == NULL else core.call.client
    message.channel = channel
    message.name = name
    message.name_length = length
    message.text = text
    message.text_length = text_length
    message.blobs[0] = message.blobs[1] = NULL
    message.size = FRAME_BYTES + length + text_length + (channel.length if channel.kind == KIND_PATTERN else 0)
    if message.size < longest:
        message.size = encode(&message, message.encoded, 3)
        for i in range(channel.count):
            if i + AHEAD < channel.count:
                ranvier_prefetch(&channel.subscribers[i + AHEAD].client.tail)
            deliver_copy(&message, channel.subscribers[i].client, running)
        return
    for i in range(channel.count):
        deliver_shared(core, &message, channel.subscribers[i].client, running)
    for i in range(2):
        if message.blobs[i] != NULL:
            blob_release(&core.memory, message.blobs[i])


cdef int64_t publish(Core *core, int kind, const char *name, size_t length, const char *message,
                     size_t message_length) noexcept nogil:
    cdef PubSub *pubsub = <PubSub *>core.pubsub
    cdef Channel *channel = find_channel(pubsub, kind, name, length)
    cdef int64_t receivers = 0
    if channel != NULL:
        receivers = channel.count
        deliver(core, channel, name, length, message, message_length)
    if kind == KIND_SHARD:
        return receivers
    channel = pubsub.first[<int>KIND_PATTERN]
    while channel != NULL:
        if glob_match(channel.name, channel.length, name, length):
            receivers += channel.count
            deliver(core, channel, name, length, message, message_length)
        channel = channel.next
    return receivers


# ---- keyspace notifications ------------------------------------------------------------------------------------------

cdef void notify_as(Core *core, const char *what, int database, const char *subject, size_t subject_length,
                    const char *message, size_t message_length) noexcept nogil:
    """Publish to __<what>@<database>__:<subject>."""
    cdef char[NAME_BYTES] short_name
    cdef char *name = short_name
    cdef size_t length = 0, needed = subject_length + 64
    if needed > NAME_BYTES:
        name = <char *>allocate(&core.memory, needed)
    memcpy(name, b"__", 2)
    memcpy(name + 2, what, 8)            # keyspace or keyevent
    name[10] = c'@'
    length = 11 + print_integer(name + 11, database)
    memcpy(name + length, b"__:", 3)
    memcpy(name + length + 3, subject, subject_length)
    publish(core, KIND_CHANNEL, name, length + 3 + subject_length, message, message_length)
    if name != short_name:
        release(&core.memory, name)


cdef void notify(Core *core, int database, uint32_t event_class, const char *event, const char *key,
                 size_t length) noexcept nogil:
    cdef PubSub *pubsub = <PubSub *>core.pubsub
    if core.notified & event_class == 0 or (pubsub.first[0] == NULL and pubsub.first[1] == NULL):
        return
    if core.notified & NOTIFY_KEYSPACE:
        notify_as(core, b"keyspace", database, key, length, event, strlen(event))
    if core.notified & NOTIFY_KEYEVENT:
        notify_as(core, b"keyevent", database, event, strlen(event), key, length)


cdef void key_missed(void *context, void *database, const char *key, size_t length) noexcept:
    notify(<Core *>context, (<Database *>database).index, EVENT_KEY_MISS, b"keymiss", key, length)


cdef void key_is_new(void *context, void *database, const char *key, size_t length) noexcept:
    notify(<Core *>context, (<Database *>database).index, EVENT_NEW, b"new", key, length)


# ---- the Python side -------------------------------------------------------------------------------------------------

cdef class PubSubHandle:
    """A server's Pub/Sub as Python sees it; `kind` is 0 channels, 1 patterns, 2 shard channels."""

    def channels(self, int kind) -> list[bytes]:
        """The names that have subscribers."""
        cdef Channel *channel = self.state.first[kind]
        found = []
        while channel != NULL:
            found.append(channel.name[:channel.length])
            channel = channel.next
        return found

    def subscriber_count(self, int kind, bytes name) -> int:
        cdef Channel *channel = find_channel(&self.state, kind, name, len(name))
        return 0 if channel == NULL else channel.count

    def counts(self) -> tuple[int, int, int, int]:
        """Channels, patterns, shard channels, subscribed clients."""
        return (self.state.channels[0].count, self.state.channels[1].count, self.state.channels[2].count,
                self.state.client_count)

    def set_notified(self, letters: str) -> None:
        """Classes of events to notify, as notify-keyspace-events writes them; without K or E none are."""
        cdef Core *core = self.core
        cdef uint32_t notified = 0
        for letter in letters.replace("A", EVERY_CLASS):
            notified |= <uint32_t>NOTIFIED_LETTERS.get(letter, 0)
        if not notified & (<uint32_t>NOTIFY_KEYSPACE | <uint32_t>NOTIFY_KEYEVENT):
            notified = 0
        core.notified = notified
        if notified:
            core.effects |= EFFECT_NOTIFIED
        else:
            core.effects &= ~<uint32_t>EFFECT_NOTIFIED
        core.keyspace.listener_context = core
        core.keyspace.on_missed = NULL
        core.keyspace.on_new = NULL
        if notified & EVENT_KEY_MISS:
            core.keyspace.on_missed = key_missed
        if notified & EVENT_NEW:
            core.keyspace.on_new = key_is_new

    def __dealloc__(self) -> None:
        # Every client has left by now, and with the last subscriber the channel went.
        for kind in range(<int>KINDS):
            table_clear(&self.state.channels[kind])
        table_clear(&self.state.subscriptions)


cdef PubSubHandle pubsub_handle(Core *core, tuple seeds):
    cdef PubSubHandle handle = PubSubHandle.__new__(PubSubHandle)
    cdef PubSub *pubsub = &handle.state
    memset(pubsub, 0, sizeof(PubSub))
    pubsub.memory = &core.memory
    pubsub.free_blocks = limits.FREE_BLOCKS
    pubsub.subscriber_blocks = limits.SUBSCRIBER_BLOCKS
    pubsub.shared_bytes = min(limits.SHARED_MESSAGE_BYTES, COPIED_BYTES)
    for kind in range(<int>KINDS):
        table_init(&pubsub.channels[kind], &core.memory, &CHANNEL_LAYOUT, seeds[0], seeds[1])
    table_init(&pubsub.subscriptions, &core.memory, &SUBSCRIPTION_LAYOUT, seeds[0], seeds[1])
    handle.core = core
    core.pubsub = pubsub
    return handle
