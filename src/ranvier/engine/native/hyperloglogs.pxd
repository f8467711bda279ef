"""Native handlers of the group hyperloglog."""

from ranvier.engine.core cimport native_t

cdef native_t hyperloglog_handler(str name) except? NULL
