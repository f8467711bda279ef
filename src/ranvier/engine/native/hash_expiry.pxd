"""Native handlers of the group hash: the expiry of fields."""

from ranvier.engine.core cimport Call, native_t

cdef native_t hash_expiry_handler(str name) except? NULL
