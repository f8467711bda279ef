"""Active expiry of the fields of hashes."""

from libc.stddef cimport size_t

from ranvier.engine.core cimport Core
from ranvier.engine.store.database cimport Database

# One bounded step: looks at no more than about `buckets` home buckets; returns the number of fields it deleted, and in
# *seen how many it looked at.
cdef size_t expire_fields_slice(Core *core, Database *database, size_t buckets, size_t *seen) noexcept
