"""How a data set that was loaded beside the server's own comes into its place."""

from ranvier.engine.core cimport Core
from ranvier.engine.store.database cimport Database

# `loaded` are as many databases as the core has, with the same hash seeds. Clients that watch or track keys learn of
# each; nothing is propagated. What goes is freed bit by bit.
cdef void empty_databases(Core *core) noexcept
cdef void place_databases(Core *core, Database **loaded) noexcept        # `loaded` then holds what was there
cdef bint databases_overlap(Core *core, Database **loaded) noexcept nogil
cdef void merge_databases(Core *core, Database **loaded) noexcept        # `loaded` is empty then
