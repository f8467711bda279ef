"""Commands about consumer groups."""


cdef native_t stream_group_handler(str name) except? NULL:
    return NULL
