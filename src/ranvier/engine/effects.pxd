"""The effect call: the one place where a change takes effect (design, law 7)."""

from libc.stddef cimport size_t
from libc.stdint cimport uint32_t

from ranvier.engine.core cimport EFFECT_OBSERVED, EFFECT_PROPAGATED, Call, Client, Core
from ranvier.engine.store.database cimport Database

cdef void select_database(Client *client, int index) noexcept

# Every change of a key ends here.
cdef void effect(Call *call, const char *key, size_t length, uint32_t event_class, const char *event) noexcept
# A key goes of the server's own accord (before or after it is told), for this reason: counted, told and propagated.
cdef void key_goes(Core *core, Database *database, const char *key, size_t length, uint32_t event_class,
                   const char *event, bint lazily) noexcept
# Fields of a hash have expired, `names` of them (empty unless `changes_are_kept`); emptied: and the key with them.
cdef void fields_expired(Core *core, Database *database, bytes key, list names, bint emptied) noexcept
# What the running command is propagated as, instead of as it came: a list of argument lists. Build it only when
# `propagates(call)`.
cdef void propagate_as(Call *call, list requests) noexcept
# The command has run and changed something: what it is propagated as joins the unit that is going on.
cdef void propagate(Call *call) noexcept
# Of a Python handler; a negative index is the selected database.
cdef void client_changed(Client *client, int database_index, bytes key, bytes event, uint32_t event_class)
cdef void client_propagate(Client *client, list requests)
# For every key of a database, before it goes or is replaced by those of another (negative: by nothing).
cdef void client_database_changed(Client *client, int database_index, int replacement_index, bytes event)


cdef inline void changed(Call *call, const char *key, size_t length, uint32_t event_class,
                         const char *event) noexcept:
    call.dirty += 1
    if call.core.effects != 0:
        effect(call, key, length, event_class, event)


cdef inline bint changes_are_kept(const Core *core) noexcept nogil:
    """Whether anything - a file, a replica, a listener - takes changes as requests."""
    return core.effects & (EFFECT_PROPAGATED | EFFECT_OBSERVED) != 0


cdef inline bint propagates(const Call *call) noexcept nogil:
    return changes_are_kept(call.core)
