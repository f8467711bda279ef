"""The limits that no option changes, from `ranvier.limits` into the engine's memory."""

from libc.stdint cimport int64_t

from ranvier import limits


cdef void load_limits(Limits *target) except *:
    target.read_minimum_bytes = limits.READ_MINIMUM_BYTES
    target.read_before_big_bytes = limits.READ_BEFORE_BIG_BYTES
    target.big_argument_trust_bytes = limits.BIG_ARGUMENT_TRUST_BYTES
    target.inline_request_bytes = limits.INLINE_REQUEST_BYTES
    target.argument_count = limits.ARGUMENT_COUNT
    target.big_argument_bytes = limits.BIG_ARGUMENT_BYTES
    target.bulk_bytes = limits.BULK_BYTES
    target.query_buffer_bytes = limits.QUERY_BUFFER_BYTES
    target.batch_requests = limits.BATCH_REQUESTS
    target.unauthenticated_arguments = limits.UNAUTHENTICATED_ARGUMENTS
    target.unauthenticated_bulk_bytes = limits.UNAUTHENTICATED_BULK_BYTES
    target.unauthenticated_query_buffer_bytes = limits.UNAUTHENTICATED_QUERY_BUFFER_BYTES
    target.unauthenticated_output_bytes = limits.UNAUTHENTICATED_OUTPUT_BYTES
    target.write_bytes_per_turn = limits.WRITE_BYTES_PER_TURN
    target.referenced_value_bytes = limits.REFERENCED_VALUE_BYTES
    target.owed_bytes = limits.OWED_BYTES
    target.free_blocks = limits.FREE_BLOCKS
    target.linger_bytes = limits.LINGER_BYTES
    target.linger_ms = limits.LINGER_MILLISECONDS
    target.expire_buckets = limits.EXPIRE_BUCKETS_PER_SLICE
    target.expire_ns = <int64_t>limits.EXPIRE_MICROSECONDS_PER_TURN * 1000
