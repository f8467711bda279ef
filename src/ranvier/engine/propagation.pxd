"""Changes as requests, for whoever keeps them (append-only file), repeats them (replicas) or listens (Python)."""

from libc.stddef cimport size_t

from ranvier.engine.core cimport Arg, Client, Core, feed_t

# Hand every unit to `take` from now on; the first begins with a SELECT.
cdef void feed_begin(Core *core, int which, feed_t take) noexcept nogil
cdef void feed_end(Core *core, int which) noexcept nogil

# Add a request to the unit that is going on, for a database.
cdef void unit_add(Core *core, int database_index, const Arg *args, size_t count) noexcept nogil
cdef void unit_add_lists(Core *core, int database_index, list requests) noexcept
# A key goes of the server's own accord; `lazily` says by which name. Outside of commands it is a unit of its own.
cdef void propagate_deletion(Core *core, int database_index, const char *key, size_t length, bint lazily) noexcept
# The outermost command is over, or what happened outside of commands: hand the unit out, if there is anything in it.
cdef void unit_end(Core *core, Client *client) noexcept
cdef void propagation_free(Core *core) noexcept nogil
