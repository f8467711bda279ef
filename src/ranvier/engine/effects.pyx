"""What a command's change of a key means to all who care: those who watch, track, wait, are notified, keep or follow.

`core.effects` has a bit for each kind of them; without any, a change is a counter and one test. What is handed to files
and replicas is `engine/propagation`'s. What the server deletes of its own accord (expiry, eviction) has no author: its
effect calls begin with `key_goes` and `fields_expired`.
"""

from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.ref cimport Py_DECREF, Py_INCREF

from ranvier.engine.client cimport ClientHandle
from ranvier.engine.core cimport (
    EFFECT_AWAITED,
    EFFECT_NOTIFIED,
    EFFECT_TRACKED,
    EFFECT_WATCHED,
    EVENT_GENERIC,
    EVENT_HASH,
    Core,
)
from ranvier.engine.modes.blocked cimport awaited_key_changed
from ranvier.engine.modes.pubsub cimport notify
from ranvier.engine.modes.tracking cimport tracking_flush, tracking_touch
from ranvier.engine.modes.watch cimport watch_touch, watch_touch_database
from ranvier.engine.phase cimport CLOSE_BUG, request_close
from ranvier.engine.propagation cimport propagate_deletion, unit_add, unit_add_lists, unit_end
from ranvier.engine.store.database cimport Database


cdef void select_database(Client *client, int index) noexcept:
    client.database = client.core.databases[index]


cdef void tell(Core *core, Client *author, Database *database, const char *key, size_t length, uint32_t event_class,
               const char *event, bint gone) noexcept:
    cdef uint32_t effects = core.effects
    # Without a class it is a whole database: see client_database_changed.
    if effects & EFFECT_WATCHED and event_class != 0:
        watch_touch(core, database, key, length, gone)
    if effects & EFFECT_TRACKED and event_class != 0:
        tracking_touch(core, author, key, length)
    if effects & EFFECT_NOTIFIED:
        notify(core, database.index, event_class, event, key, length)
    if effects & EFFECT_AWAITED:
        awaited_key_changed(core, database.index, key, length, event_class, event)
    if not effects & EFFECT_OBSERVED:
        return
    hooks = <object>core.hooks
    try:
        hooks.key_changed(database.index, PyBytes_FromStringAndSize(key, length), event_class, <bytes>event)
    except Exception as error:
        if author == NULL:
            hooks.bug_in_callback(hooks.key_changed, error)
            return
        request_close(author, CLOSE_BUG)
        hooks.bug(<ClientHandle>author.handle, error)


cdef void effect(Call *call, const char *key, size_t length, uint32_t event_class, const char *event) noexcept:
    tell(call.core, call.client, call.database, key, length, event_class, event, False)


cdef void key_goes(Core *core, Database *database, const char *key, size_t length, uint32_t event_class,
                   const char *event, bint lazily) noexcept:
    core.dirty += 1
    if core.effects == 0:
        return
    tell(core, NULL, database, key, length, event_class, event, True)
    if changes_are_kept(core):
        propagate_deletion(core, database.index, key, length, lazily)


cdef void fields_expired(Core *core, Database *database, bytes key, list names, bint emptied) noexcept:
    if core.effects == 0:
        return
    tell(core, NULL, database, key, <size_t>len(key), EVENT_HASH, b"hexpired", emptied)
    if emptied:
        tell(core, NULL, database, key, <size_t>len(key), EVENT_GENERIC, b"del", True)
    if changes_are_kept(core):
        unit_add_lists(core, database.index, [[b"HDEL", key, *names]])
        if core.call == NULL:
            unit_end(core, NULL)


cdef void propagate_as(Call *call, list requests) noexcept:
    Py_INCREF(requests)          # held by the call until `propagate` or `run` takes it
    call.propagated = <void *>requests


cdef void propagate(Call *call) noexcept:
    cdef list requests
    if call.propagated == NULL:
        unit_add(call.core, call.database.index, call.args, call.count)
        return
    requests = <list>call.propagated
    Py_DECREF(requests)
    call.propagated = NULL
    unit_add_lists(call.core, call.database.index, requests)


cdef void client_changed(Client *client, int database_index, bytes key, bytes event, uint32_t event_class):
    cdef Call *call = client.core.call
    cdef Database *selected
    if call == NULL or database_index >= client.core.database_count:
        raise RuntimeError("a change is told by a running command, of a database that there is")
    selected = call.database
    if database_index >= 0:
        call.database = client.core.databases[database_index]
    changed(call, key, len(key), event_class, event)
    call.database = selected


cdef void client_database_changed(Client *client, int database_index, int replacement_index, bytes event):
    cdef Core *core = client.core
    if database_index >= core.database_count or replacement_index >= core.database_count:
        raise RuntimeError("a change is told of a database that there is")
    if core.effects & EFFECT_WATCHED:
        watch_touch_database(core, core.databases[database_index],
                             core.databases[replacement_index] if replacement_index >= 0 else NULL)
    # Databases that change places keep all keys: as on Valkey, nobody who tracks hears of it.
    if replacement_index < 0 and core.call != NULL:
        tracking_flush(core)
    client_changed(client, database_index, b"", event, 0)


cdef void client_propagate(Client *client, list requests):
    cdef Call *call = client.core.call
    if call != NULL and propagates(call) and call.propagated == NULL:
        propagate_as(call, requests)
