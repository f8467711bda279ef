"""Native handlers of the group string that change or read parts of a value."""

from ranvier.engine.core cimport native_t

cdef native_t string_edit_handler(str name) except? NULL
