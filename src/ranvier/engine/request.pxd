"""RESP requests and inline lines to argument views, a batch at a time. Touches no socket, no client, no interpreter."""

from libc.stddef cimport size_t
from libc.stdint cimport int64_t

from ranvier.engine.core cimport Batch, Limits, Parser
from ranvier.engine.memory cimport Memory

cdef enum ParseStatus:
    PARSE_INCOMPLETE = 0         # the rest of the data is the beginning of a request
    PARSE_FULL = 1               # the batch is full: execute it and come again
    PARSE_ERROR_MULTIBULK_LENGTH = 2
    PARSE_ERROR_MULTIBULK_STRING = 3
    PARSE_ERROR_BULK_STRING = 4
    PARSE_ERROR_EXPECTED_DOLLAR = 5
    PARSE_ERROR_BULK_LENGTH = 6
    PARSE_ERROR_UNAUTHENTICATED_MULTIBULK = 7
    PARSE_ERROR_UNAUTHENTICATED_BULK = 8
    PARSE_ERROR_INLINE = 9
    PARSE_ERROR_QUOTES = 10
    PARSE_ERROR_CRLF = 11

cdef void batch_init(Batch *batch, Memory *memory, size_t requests) noexcept nogil
cdef void batch_free(Batch *batch) noexcept nogil
# Forget the batch's requests, giving back their blobs.
cdef void batch_clear(Batch *batch) noexcept nogil

cdef void parser_init(Parser *parser) noexcept nogil
# Forget the incomplete request (its bytes are the caller's, its blobs are given back).
cdef void parser_reset(Parser *parser, Memory *memory) noexcept nogil

# Parse complete requests from data[0:length] into the batch, which must be empty. data[0] is the first byte of the
# request that `parser` is in the middle of, or of a new one. *consumed: bytes of the complete requests, behind which
# the incomplete one begins. *found: the byte that PARSE_ERROR_EXPECTED_DOLLAR tells of. An error is reported after the
# requests before it: they are in the batch. An inline line is unquoted in place, and is alone in its batch.
cdef ParseStatus parse_requests(Parser *parser, Batch *batch, char *data, size_t length, const Limits *limits,
                                bint authenticated, size_t *consumed, char *found) noexcept nogil

# The incomplete request waits for a big argument: bytes of data from parser.position on belong to it.
cdef bint wants_blob(const Parser *parser, const Limits *limits) noexcept nogil
