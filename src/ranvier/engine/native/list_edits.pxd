"""Native handlers of the group list: those that look for elements."""

from ranvier.engine.core cimport native_t

cdef native_t list_edit_handler(str name) except? NULL
