"""Native handlers of commands about consumer groups."""

from ranvier.engine.core cimport native_t

cdef native_t stream_group_handler(str name) except? NULL
