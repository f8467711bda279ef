"""Watched keys: what WATCH asks for, what a change breaks, and how a client stops watching."""

from libc.stddef cimport size_t

from ranvier.engine.core cimport Client, Core
from ranvier.engine.store.database cimport Database

# Watch a key of the selected database; a key that the client watches already is left as it is.
cdef void watch_key(Client *client, const char *key, size_t length) noexcept nogil
# Watch nothing any more, and forget that a watched key was touched. Idempotent: the mode's leave().
cdef void watch_leave(Client *client) noexcept nogil
# Whether a key that was alive when WATCH came has expired since, deleted or not.
cdef bint watch_has_expired(const Client *client) noexcept nogil

# Name every client that the tables of watched keys refer to (engine.audit).
ctypedef void (*audit_t)(void *context, const char *where, Client *client) noexcept nogil
cdef void watch_visit(Core *core, audit_t seen, void *context) noexcept

# A key changed. `gone`: it is about to be deleted because its time has come.
cdef void watch_touch(Core *core, Database *database, const char *key, size_t length, bint gone) noexcept nogil
# All keys of a database are about to go, or to be replaced by those of `replacement`.
cdef void watch_touch_database(Core *core, Database *database, Database *replacement) noexcept nogil
