"""Native handlers of the group string that compare values, or their digests."""

from ranvier.engine.core cimport native_t

cdef native_t string_digest_handler(str name) except? NULL
