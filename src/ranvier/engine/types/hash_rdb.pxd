"""Hashes in RDB form."""

from ranvier.engine.types.rdb cimport ValueCodec

cdef const ValueCodec *hash_codec() noexcept nogil
