"""WATCH: who watches which key, and what breaks it.

Strategy: a hash table per database leads from a key to its watchers, and each client has a list of its watches, so that
a change costs one look-up and leaving costs what the client watches. The first change of a watched key breaks the
client's whole watch: it is marked, and watches nothing from then on. While nobody watches, nothing of this exists and
the effect call does not come here.

A key that had expired before WATCH counts as missing, even while it still lies in the keyspace: that it is deleted
changes nothing, that it is written does.

Invariants: a Watch stands in its client's list and in its key's list; a WatchedKey has at least one Watch; the tables
exist, and EFFECT_WATCHED is set, exactly while core.watched_keys is not 0. A client watches a key at most once.
"""

from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memcpy

from ranvier.engine.core cimport EFFECT_WATCHED
from ranvier.engine.memory cimport Memory, allocate, ranvier_usable_size, release
from ranvier.engine.modes.transaction cimport transaction_drop
from ranvier.engine.store.database cimport database_hash, entry_is_expired
from ranvier.engine.store.entry cimport Entry
from ranvier.engine.store.table cimport (
    Layout, Table, table_clear, table_find, table_init, table_insert, table_remove, table_visit,
)

cdef struct Watch:
    Client *client
    WatchedKey *key
    Database *database
    bint expired                 # the key had expired when WATCH came, and is not written since
    Watch *next_of_client
    Watch *previous_of_key
    Watch *next_of_key

cdef struct WatchedKey:
    Watch *first
    uint64_t hash
    size_t length                # the key's bytes follow


cdef struct WatchVisit:
    audit_t seen
    void *context


cdef inline char *bytes_of(WatchedKey *key) noexcept nogil:
    return <char *>(key + 1)


cdef const char *layout_key(const void *item, size_t *length) noexcept nogil:
    length[0] = (<WatchedKey *>item).length
    return bytes_of(<WatchedKey *>item)


cdef void layout_free(Memory *memory, void *item) noexcept nogil:
    release(memory, item)


cdef Layout layout
layout.key = &layout_key
layout.free = &layout_free


# ---- the tables -----------------------------------------------------------------------------------------------------

cdef inline Table *table_of(Core *core, const Database *database) noexcept nogil:
    return <Table *>core.watched + database.index


cdef void create_tables(Core *core) noexcept nogil:
    cdef int i
    cdef Database *database
    core.watched = allocate(&core.memory, core.database_count * sizeof(Table))
    for i in range(core.database_count):
        database = core.databases[i]
        # The keyspace's seeds, so that a key's hash holds here, too.
        table_init(table_of(core, database), &core.memory, &layout, database.keys.seed0, database.keys.seed1)
    core.effects |= EFFECT_WATCHED


cdef WatchedKey *watched_key(Core *core, Database *database, const char *bytes, size_t length) noexcept nogil:
    """The key's item, made when there is none."""
    cdef uint64_t hash = database_hash(database, bytes, length)
    cdef WatchedKey *key
    cdef void **slot
    if core.watched_keys == 0:
        create_tables(core)
    slot = table_find(table_of(core, database), hash, bytes, length)
    if slot != NULL:
        return <WatchedKey *>slot[0]
    key = <WatchedKey *>allocate(&core.memory, sizeof(WatchedKey) + length)
    key.first = NULL
    key.hash = hash
    key.length = length
    memcpy(bytes_of(key), bytes, length)
    table_insert(table_of(core, database), hash, key)
    core.watched_keys += 1
    return key


cdef void forget_key(Core *core, Database *database, WatchedKey *key) noexcept nogil:
    cdef Table *table = table_of(core, database)
    table_remove(table, key.hash, bytes_of(key), key.length)
    release(&core.memory, key)
    core.watched_keys -= 1
    if table.count == 0:
        table_clear(table)
    if core.watched_keys == 0:
        release(&core.memory, core.watched)
        core.watched = NULL
        core.effects &= ~<uint32_t>EFFECT_WATCHED


# ---- watching and leaving -------------------------------------------------------------------------------------------

cdef bint watches(const Client *client, const WatchedKey *key) noexcept nogil:
    """Whether the client watches the key: the shorter of the two lists decides, so that no crowd makes this slow."""
    cdef const Watch *of_client = <const Watch *>client.watches
    cdef const Watch *of_key = key.first
    while of_client != NULL and of_key != NULL:
        if of_client.key == key or of_key.client == client:
            return True
        of_client = of_client.next_of_client
        of_key = of_key.next_of_key
    return False


cdef inline Entry *entry_of(Database *database, WatchedKey *key) noexcept nogil:
    """The entry as it lies in the keyspace, expired or not."""
    cdef void **slot = table_find(&database.keys, key.hash, bytes_of(key), key.length)
    return NULL if slot == NULL else <Entry *>slot[0]


cdef void watch_key(Client *client, const char *key, size_t length) noexcept nogil:
    cdef Core *core = client.core
    cdef WatchedKey *watched = watched_key(core, client.database, key, length)
    cdef Entry *entry
    cdef Watch *watch
    if watches(client, watched):
        return
    entry = entry_of(client.database, watched)
    watch = <Watch *>allocate(&core.memory, sizeof(Watch))
    watch.client = client
    watch.key = watched
    watch.database = client.database
    watch.expired = entry != NULL and entry_is_expired(client.database, entry)
    watch.next_of_client = <Watch *>client.watches
    watch.previous_of_key = NULL
    watch.next_of_key = watched.first
    if watched.first != NULL:
        watched.first.previous_of_key = watch
    watched.first = watch
    if client.watches == NULL:
        core.watching_clients += 1
    client.watches = watch
    client.watch_count += 1
    # Shared keys count for everyone who watches them: it is the client that asked for them.
    client.kept_bytes += ranvier_usable_size(watch) + sizeof(WatchedKey) + length


cdef void stop_watching(Client *client) noexcept nogil:
    cdef Core *core = client.core
    cdef Watch *watch = <Watch *>client.watches
    cdef Watch *following
    cdef WatchedKey *key
    if watch == NULL:
        return
    core.watching_clients -= 1
    client.watches = NULL
    client.watch_count = 0
    while watch != NULL:
        following = watch.next_of_client
        key = watch.key
        client.kept_bytes -= ranvier_usable_size(watch) + sizeof(WatchedKey) + key.length
        if watch.next_of_key != NULL:
            watch.next_of_key.previous_of_key = watch.previous_of_key
        if watch.previous_of_key != NULL:
            watch.previous_of_key.next_of_key = watch.next_of_key
        else:
            key.first = watch.next_of_key
            if key.first == NULL:
                forget_key(core, watch.database, key)
        release(&core.memory, watch)
        watch = following


cdef void watch_leave(Client *client) noexcept nogil:
    stop_watching(client)
    client.watch_broken = False


cdef bint watch_has_expired(const Client *client) noexcept nogil:
    cdef const Watch *watch = <const Watch *>client.watches
    cdef Entry *entry
    while watch != NULL:
        if not watch.expired:
            entry = entry_of(watch.database, watch.key)
            if entry != NULL and entry_is_expired(watch.database, entry):
                return True
        watch = watch.next_of_client
    return False


cdef void watch_visit(Core *core, audit_t seen, void *context) noexcept:
    cdef int i
    cdef size_t bucket
    cdef WatchVisit visit
    if core.watched == NULL:
        return
    visit.seen = seen
    visit.context = context
    for i in range(core.database_count):
        for bucket in range(table_of(core, core.databases[i]).buckets):
            table_visit(table_of(core, core.databases[i]), bucket, visit_watchers, &visit)


cdef void visit_watchers(void *context, void *item) noexcept nogil:
    cdef WatchVisit *visit = <WatchVisit *>context
    cdef Watch *watch = (<WatchedKey *>item).first
    while watch != NULL:
        visit.seen(visit.context, b"the watchers of a key", watch.client)
        watch = watch.next_of_key


# ---- changes --------------------------------------------------------------------------------------------------------

cdef inline void break_watch(Client *client) noexcept nogil:
    client.watch_broken = True
    stop_watching(client)
    transaction_drop(client)             # what is queued will not run


cdef void watch_touch(Core *core, Database *database, const char *key, size_t length, bint gone) noexcept nogil:
    cdef uint64_t hash = database_hash(database, key, length)
    cdef void **slot = table_find(table_of(core, database), hash, key, length)
    cdef Watch *watch
    cdef Watch *following
    if slot == NULL:
        return
    watch = (<WatchedKey *>slot[0]).first
    gone = gone or entry_of(database, watch.key) == NULL
    while watch != NULL:
        following = watch.next_of_key        # of another client, and so still there when this one has left
        if watch.expired and gone:
            watch.expired = False
        else:
            break_watch(watch.client)
        watch = following


cdef bint survives(Watch *watch, Database *replacement) noexcept nogil:
    """Whether the key's replacement by its namesake in `replacement` (NULL: by nothing) changes nothing for a watch."""
    cdef Entry *before = entry_of(watch.database, watch.key)
    cdef Entry *after = entry_of(replacement, watch.key) if replacement != NULL else NULL
    if before == NULL and after == NULL:
        return True
    if after != NULL and not entry_is_expired(replacement, after):
        return False
    if before != NULL and not watch.expired:
        return False
    # It was missing or expired, and is so again.
    watch.expired = after != NULL
    return True


cdef void watch_touch_database(Core *core, Database *database, Database *replacement) noexcept nogil:
    cdef Client *client = core.first
    cdef Watch *watch
    while client != NULL:
        watch = <Watch *>client.watches
        while watch != NULL:
            if watch.database == database and not survives(watch, replacement):
                break_watch(client)
                break
            watch = watch.next_of_client
        client = client.next
