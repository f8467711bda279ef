"""Sorted sets in RDB form."""

from ranvier.engine.types.rdb cimport ValueCodec

cdef const ValueCodec *sorted_set_codec() noexcept nogil
