"""Streams in RDB form."""

from ranvier.engine.types.rdb cimport ValueCodec

cdef const ValueCodec *stream_codec() noexcept nogil
