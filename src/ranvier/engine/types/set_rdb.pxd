"""Sets in RDB form."""

from ranvier.engine.types.rdb cimport ValueCodec

cdef const ValueCodec *set_codec() noexcept nogil
