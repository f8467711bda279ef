"""Glob patterns over bytes, as PSUBSCRIBE understands them, in bounded time."""

from libc.stddef cimport size_t

# Whether the text matches; the same language as `keyspace/glob.py`. Work: at most pattern length times text length.
cdef bint glob_match(const char *pattern, size_t pattern_length, const char *text, size_t length) noexcept nogil
