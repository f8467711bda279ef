"""Look-ahead, gates, the call, and the one place where a change takes effect."""

from libc.stddef cimport size_t
from libc.stdint cimport uint32_t

from ranvier.engine.core cimport EFFECT_OBSERVED, EFFECT_PROPAGATED, Arg, Batch, Call, Client, Core

# Parse and execute what `data` holds; returns how many bytes of it are done with.
cdef size_t process_requests(Core *core, Client *client, char *data, size_t length)
# Run a request that was held back.
cdef void execute_again(Core *core, Client *client, Arg *args, size_t count) except *
# Look up and run a batch; returns how many requests were taken (executed or refused).
cdef size_t execute_batch(Core *core, Client *client, Batch *batch)

# Run a command that nothing refuses, and do everything that follows from having run it.
cdef void run(Call *call)
# Attribute the time since the last reading of the clock to the quick commands that ran in it.
cdef void settle_time(Core *core) noexcept nogil

# The arguments as a list, from the `first` one on.
cdef list arguments(Call *call, size_t first)
# An argument as errors show it: a C string, which ends at a NUL byte.
cdef bytes text_of(const Arg *arg)

cdef void select_database(Client *client, int index) noexcept

# The effect call (design, law 7): every change of a key ends here.
cdef void effect(Call *call, const char *key, size_t length, uint32_t event_class, const char *event) noexcept
# What the running command is propagated as, instead of as it came: a list of argument lists. Build it only when
# `propagates(call)`.
cdef void propagate_as(Call *call, list requests) noexcept
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


cdef inline bint propagates(const Call *call) noexcept nogil:
    return call.core.effects & (EFFECT_PROPAGATED | EFFECT_OBSERVED) != 0
