"""Native handlers of the group bitmap."""

from ranvier.engine.core cimport native_t

cdef native_t bitmap_handler(str name) except? NULL
