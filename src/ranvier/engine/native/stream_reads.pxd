"""Native handlers of XREAD and XREADGROUP."""

from ranvier.engine.core cimport native_t

cdef native_t stream_read_handler(str name) except? NULL
