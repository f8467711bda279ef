"""What a command's change of a key means to all who care: those who watch, track, wait, are notified, keep or follow.

`core.effects` has a bit for each kind of them; without any, a change is a counter and one test. What is handed to files
and replicas is `engine/propagation`'s; deletions of the server's own accord (expiry, eviction) have their effect calls
where they are made.
"""

from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.ref cimport Py_DECREF, Py_INCREF

from ranvier.engine.client cimport ClientHandle
from ranvier.engine.core cimport (
    EFFECT_AWAITED,
    EFFECT_NOTIFIED,
    EFFECT_TRACKED,
    EFFECT_WATCHED,
    Core,
)
from ranvier.engine.modes.blocked cimport awaited_key_changed
from ranvier.engine.modes.pubsub cimport notify
from ranvier.engine.modes.tracking cimport tracking_flush, tracking_touch
from ranvier.engine.modes.watch cimport watch_touch, watch_touch_database
from ranvier.engine.phase cimport CLOSE_BUG, request_close
from ranvier.engine.propagation cimport unit_add, unit_add_lists
from ranvier.engine.store.database cimport Database


cdef void select_database(Client *client, int index) noexcept:
    client.database = client.core.databases[index]


cdef void effect(Call *call, const char *key, size_t length, uint32_t event_class, const char *event) noexcept:
    cdef uint32_t effects = call.core.effects
    # Without a class it is a whole database: see client_database_changed.
    if effects & EFFECT_WATCHED and event_class != 0:
        watch_touch(call.core, call.database, key, length, False)
    if effects & EFFECT_TRACKED and event_class != 0:
        tracking_touch(call.core, call.client, key, length)
    if effects & EFFECT_NOTIFIED:
        notify(call.core, call.database.index, event_class, event, key, length)
    if effects & EFFECT_AWAITED:
        awaited_key_changed(call.core, call.database.index, key, length, event_class, event)
    if not effects & EFFECT_OBSERVED:
        return
    try:
        (<object>call.core.hooks).key_changed(
            call.database.index, PyBytes_FromStringAndSize(key, length), event_class, <bytes>event)
    except Exception as error:
        request_close(call.client, CLOSE_BUG)
        (<object>call.core.hooks).bug(<ClientHandle>call.client.handle, error)


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
