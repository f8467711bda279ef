"""Native handlers of the group string that change or read parts of a value."""

from libc.stddef cimport size_t

from ranvier.engine.core cimport native_t

cdef native_t string_edit_handler(str name) except? NULL
cdef bint parse_long_double(const char *text, size_t length, long double *value) noexcept nogil
