"""The native handlers by name."""

from ranvier.engine.core cimport native_t

# NULL when there is no native handler of that name ("get").
cdef native_t native_handler(str name) except? NULL
