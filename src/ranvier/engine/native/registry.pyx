"""The native handlers by name: one module per group, asked in turn."""

from ranvier.engine.modes.monitor cimport monitor_handler
from ranvier.engine.modes.surroundings cimport surroundings_handler
from ranvier.engine.native.bitmaps cimport bitmap_handler
from ranvier.engine.native.blocking cimport blocking_handler
from ranvier.engine.native.hashes cimport hash_handler
from ranvier.engine.native.hyperloglogs cimport hyperloglog_handler
from ranvier.engine.native.keys cimport key_handler
from ranvier.engine.native.lists cimport list_handler
from ranvier.engine.native.pubsub cimport pubsub_native
from ranvier.engine.native.sets cimport set_handler
from ranvier.engine.native.sorted_sets cimport sorted_set_handler
from ranvier.engine.native.streams cimport stream_handler
from ranvier.engine.native.strings cimport string_handler
from ranvier.engine.native.transactions cimport transaction_handler

ctypedef native_t (*finder_t)(str name) except? NULL

cdef enum:
    GROUPS = 14

cdef finder_t FINDERS[GROUPS]
FINDERS[:] = [
    string_handler,
    key_handler,
    list_handler,
    bitmap_handler,
    blocking_handler,
    hash_handler,
    hyperloglog_handler,
    monitor_handler,
    pubsub_native,
    set_handler,
    sorted_set_handler,
    stream_handler,
    surroundings_handler,
    transaction_handler,
]


cdef native_t native_handler(str name) except? NULL:
    cdef native_t found = NULL
    cdef int i = 0
    while found == NULL and i < GROUPS:
        found = FINDERS[i](name)
        i += 1
    return found
