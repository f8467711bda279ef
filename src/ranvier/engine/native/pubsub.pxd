"""Native handlers of the group pubsub."""

from ranvier.engine.core cimport native_t

cdef native_t pubsub_native(str name) except? NULL
