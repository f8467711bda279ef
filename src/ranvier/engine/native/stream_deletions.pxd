"""Native handlers of XACKDEL and XDELEX."""

from ranvier.engine.core cimport native_t

cdef native_t stream_deletion_handler(str name) except? NULL
