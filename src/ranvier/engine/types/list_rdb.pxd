"""Lists in RDB form."""

from ranvier.engine.types.rdb cimport ValueCodec

cdef const ValueCodec *list_codec() noexcept nogil
