"""Native handler of INCREX."""

from ranvier.engine.core cimport native_t

cdef native_t bounded_counter_handler(str name) except? NULL
