"""RESP requests and inline lines to argument views.

Strategy: one pass, never back. The parser of a client remembers, as offsets from the first byte of the incomplete
request, how far it has come and what it has found, so that a request that arrives byte by byte costs O(bytes).
A request that is complete in the buffer never touches that memory: its arguments go straight into the batch.

Invariants: arguments in the batch are views into `data` (or into a blob) and die with the batch; nothing is allocated
from an announced number; the bounds check stands beside each access, because every byte here comes from a peer.

Format: the Redis serialization protocol specification, "RESP protocol description" and "Inline commands". What is
refused, and with which text, is what Valkey 9.1 refuses.
"""

from libc.string cimport memchr

from ranvier.engine.core cimport REQUEST_MULTIBULK, REQUEST_NONE, Arg, Part, Request
from ranvier.engine.memory cimport Blob, allocate, blob_data, blob_release, release, resize
from ranvier.engine.number cimport parse_integer


cdef enum:
    ARGUMENTS_KEPT = 1024        # room for more is given back after the batch


cdef void batch_init(Batch *batch, Memory *memory, size_t requests) noexcept nogil:
    batch.memory = memory
    batch.arg_count = 0
    batch.request_count = 0
    batch.arg_capacity = requests * 4
    batch.request_capacity = requests
    batch.args = <Arg *>allocate(memory, batch.arg_capacity * sizeof(Arg))
    batch.requests = <Request *>allocate(memory, requests * sizeof(Request))


cdef void batch_free(Batch *batch) noexcept nogil:
    batch_clear(batch)
    release(batch.memory, batch.args)
    release(batch.memory, batch.requests)


cdef void batch_clear(Batch *batch) noexcept nogil:
    cdef size_t i
    # Only the first request of a batch can have come through a client's own parts, so only it can hold blobs.
    if batch.request_count > 0:
        for i in range(batch.requests[0].count):
            if batch.args[i].blob != NULL:
                blob_release(batch.memory, batch.args[i].blob)
    batch.arg_count = 0
    batch.request_count = 0
    if batch.arg_capacity > ARGUMENTS_KEPT:
        release(batch.memory, batch.args)
        batch.arg_capacity = ARGUMENTS_KEPT
        batch.args = <Arg *>allocate(batch.memory, ARGUMENTS_KEPT * sizeof(Arg))


cdef void parser_init(Parser *parser) noexcept nogil:
    parser.kind = REQUEST_NONE
    parser.missing = 0
    parser.bulk_length = -1
    parser.position = 0
    parser.searched = 0
    parser.parts = NULL
    parser.part_count = 0
    parser.part_capacity = 0
    parser.blob_bytes = 0
    parser.big = NULL


cdef void parser_reset(Parser *parser, Memory *memory) noexcept nogil:
    cdef size_t i
    for i in range(parser.part_count):
        if parser.parts[i].blob != NULL:
            blob_release(memory, parser.parts[i].blob)
    release(memory, parser.parts)
    if parser.big != NULL:
        blob_release(memory, parser.big)
    parser_init(parser)


cdef bint wants_blob(const Parser *parser, const Limits *limits) noexcept nogil:
    return (parser.kind == REQUEST_MULTIBULK and parser.big == NULL
            and parser.bulk_length >= <int64_t>limits.big_argument_bytes)


cdef inline void batch_push(Batch *batch, const char *data, size_t length, Blob *blob) noexcept nogil:
    cdef Arg *arg
    if batch.arg_count == batch.arg_capacity:
        batch.arg_capacity *= 2
        batch.args = <Arg *>resize(batch.memory, batch.args, batch.arg_capacity * sizeof(Arg))
    arg = &batch.args[batch.arg_count]
    arg.data = data
    arg.length = length
    arg.blob = blob
    batch.arg_count += 1


cdef void part_push(Parser *parser, Memory *memory, size_t offset, size_t length, Blob *blob) noexcept nogil:
    cdef Part *part
    if parser.part_count == parser.part_capacity:
        parser.part_capacity = parser.part_capacity * 2 if parser.part_capacity else 8
        parser.parts = <Part *>resize(memory, parser.parts, parser.part_capacity * sizeof(Part))
    part = &parser.parts[parser.part_count]
    part.offset = offset
    part.length = length
    part.blob = blob
    parser.part_count += 1


cdef void parts_to_batch(Parser *parser, Batch *batch, const char *data) noexcept nogil:
    """The resumed request is complete: its arguments become views, its blobs the batch's."""
    cdef size_t i
    cdef Part *part
    for i in range(parser.part_count):
        part = &parser.parts[i]
        if part.blob != NULL:
            batch_push(batch, blob_data(part.blob), part.length, part.blob)
        else:
            batch_push(batch, data + part.offset, part.length, NULL)
    # Few requests come in pieces, and one of them may have had a million arguments: nothing is kept for the next.
    release(batch.memory, parser.parts)
    parser.parts = NULL
    parser.part_count = parser.part_capacity = parser.blob_bytes = 0


cdef void batch_to_parts(Parser *parser, Batch *batch, size_t first, const char *start) noexcept nogil:
    """The request that began in this batch is incomplete: its arguments become offsets."""
    cdef size_t i
    for i in range(first, batch.arg_count):
        part_push(parser, batch.memory, batch.args[i].data - start, batch.args[i].length, NULL)
    batch.arg_count = first


cdef inline void batch_finish(Batch *batch, size_t first, size_t end) noexcept nogil:
    cdef Request *request = &batch.requests[batch.request_count]
    request.first = first
    request.count = batch.arg_count - first
    request.end = end
    request.command = NULL
    batch.request_count += 1


cdef enum:
    SHORT_LINE_BYTES = 12


cdef enum Line:
    LINE_WAIT = 0
    LINE_FOUND = 1
    LINE_TOO_LONG = 2
    LINE_BROKEN = 3


cdef Line count_line(const char *text, size_t length, size_t limit, size_t *searched, int64_t *value,
                     bint *valid) noexcept nogil:
    """A header line `<type><number>CRLF` at text[0:length]; *searched is where its CR stands, or how far none does."""
    cdef const char *end
    cdef size_t i = 1
    cdef int64_t number = 0
    # Nearly every line is a short plain number: read it while looking for its end.
    if length >= SHORT_LINE_BYTES and c'1' <= text[1] <= c'9':
        while c'0' <= text[i] <= c'9' and i < SHORT_LINE_BYTES - 2:
            number = number * 10 + (text[i] - c'0')
            i += 1
        if text[i] == c'\r' and text[i + 1] == c'\n':
            searched[0] = i
            value[0] = number
            valid[0] = True
            return LINE_FOUND
    end = <const char *>memchr(text + searched[0], c'\r', length - searched[0])
    if end == NULL:
        searched[0] = length
        return LINE_TOO_LONG if length > limit else LINE_WAIT
    searched[0] = end - text
    if searched[0] > limit:      # as if its end had come later
        return LINE_TOO_LONG
    if searched[0] + 1 >= length:
        return LINE_WAIT
    if end[1] != c'\n':
        return LINE_BROKEN
    valid[0] = parse_integer(text + 1, searched[0] - 1, value)
    return LINE_FOUND


cdef ParseStatus parse_multibulk(Parser *parser, Batch *batch, const char *data, size_t length, size_t first,
                                 const Limits *limits, bint authenticated, char *found) noexcept nogil:
    """Go on with the multibulk request whose first byte is data[0].

    PARSE_FULL stands for "complete", with its arguments in the batch from `first` on, and parser.position behind it.
    """
    cdef bint resumed = parser.kind == REQUEST_MULTIBULK
    cdef size_t position = parser.position, searched = parser.searched, need
    cdef int64_t value = 0
    cdef bint valid = False
    cdef Line line

    if not resumed:
        line = count_line(data, length, limits.inline_request_bytes, &searched, &value, &valid)
        if line != LINE_FOUND:
            parser.searched = searched
            if line == LINE_WAIT:
                return PARSE_INCOMPLETE
            return PARSE_ERROR_MULTIBULK_STRING if line == LINE_TOO_LONG else PARSE_ERROR_CRLF
        if not valid or value > limits.argument_count:
            return PARSE_ERROR_MULTIBULK_LENGTH
        if value > limits.unauthenticated_arguments and not authenticated:
            return PARSE_ERROR_UNAUTHENTICATED_MULTIBULK
        parser.missing = value
        parser.bulk_length = -1
        position = searched + 2
        searched = 0

    while parser.missing > 0:
        if parser.bulk_length < 0:
            if position >= length:
                break
            line = count_line(data + position, length - position, limits.inline_request_bytes, &searched, &value,
                              &valid)
            if line == LINE_WAIT:
                break
            if line == LINE_TOO_LONG:
                return PARSE_ERROR_BULK_STRING
            if data[position] != c'$':
                found[0] = data[position]
                return PARSE_ERROR_EXPECTED_DOLLAR
            if line == LINE_BROKEN:
                return PARSE_ERROR_CRLF
            if not valid or value < 0 or value > limits.bulk_bytes:
                return PARSE_ERROR_BULK_LENGTH
            if value > limits.unauthenticated_bulk_bytes and not authenticated:
                return PARSE_ERROR_UNAUTHENTICATED_BULK
            parser.bulk_length = value
            position += searched + 2
            searched = 0
        need = <size_t>parser.bulk_length + 2
        if parser.big != NULL:
            if parser.big.size < need:
                break
            if (blob_data(parser.big) + parser.bulk_length)[0] != c'\r' or \
                    (blob_data(parser.big) + parser.bulk_length)[1] != c'\n':
                return PARSE_ERROR_CRLF
            parser.big.size = <size_t>parser.bulk_length
            part_push(parser, batch.memory, 0, <size_t>parser.bulk_length, parser.big)
            parser.blob_bytes += parser.big.capacity
            parser.big = NULL
        else:
            if length - position < need:
                break
            if data[position + need - 2] != c'\r' or data[position + need - 1] != c'\n':
                return PARSE_ERROR_CRLF
            if resumed:
                part_push(parser, batch.memory, position, need - 2, NULL)
            else:
                batch_push(batch, data + position, need - 2, NULL)
            position += need
        parser.bulk_length = -1
        parser.missing -= 1

    parser.position = position
    if parser.missing > 0:
        parser.searched = searched
        if not resumed:
            parser.kind = REQUEST_MULTIBULK
            batch_to_parts(parser, batch, first, data)
        return PARSE_INCOMPLETE
    if resumed:
        parts_to_batch(parser, batch, data)
    return PARSE_FULL


cdef inline bint is_space(char c) noexcept nogil:
    return c == c' ' or (c >= c'\t' and c <= c'\r')


cdef inline bint ends_word(char c) noexcept nogil:
    # Vertical tab and form feed are skipped before a word, but belong to one that has begun (Valkey 9.1).
    return c == c' ' or c == c'\t' or c == c'\r' or c == c'\n'


cdef inline int hex_digit(char c) noexcept nogil:
    if c'0' <= c <= c'9':
        return c - c'0'
    if c'a' <= c <= c'f':
        return c - c'a' + 10
    if c'A' <= c <= c'F':
        return c - c'A' + 10
    return -1


cdef inline char escaped(char c) noexcept nogil:
    if c == c'n':
        return c'\n'
    if c == c'r':
        return c'\r'
    if c == c't':
        return c'\t'
    if c == c'b':
        return c'\b'
    if c == c'a':
        return c'\a'
    return c


cdef char *unquote(char **source, const char *end, char *target, char quote) noexcept nogil:
    """Copy a quoted run to `target` (never ahead of *source); NULL when its quote does not close.

    A quote that ends the line closes, whatever stands before it.
    """
    cdef char *p = source[0]
    while p < end:
        if p[0] == quote:
            source[0] = p + 1
            return target
        if p[0] == c'\\' and quote == c'"' and end - p >= 4 and p[1] == c'x' \
                and hex_digit(p[2]) >= 0 and hex_digit(p[3]) >= 0:
            target[0] = <char>(hex_digit(p[2]) * 16 + hex_digit(p[3]))
            p += 4
        elif p[0] == c'\\' and end - p >= 3 and p[1] == quote:
            target[0] = quote
            p += 2
        elif p[0] == c'\\' and quote == c'"' and end - p >= 2 and p[1] != quote:
            target[0] = escaped(p[1])
            p += 2
        else:
            target[0] = p[0]
            p += 1
        target += 1
    return NULL


cdef bint split_inline(Batch *batch, char *line, size_t length) noexcept nogil:
    """Split a line into arguments, unquoting in place (a token never grows); 0 when a quote does not close."""
    cdef char *p = line
    cdef char *end = line + length
    cdef char *target = line
    cdef char *start
    cdef char quote
    while True:
        while p < end and is_space(p[0]):
            p += 1
        if p >= end:
            return True
        start = target
        while p < end and not ends_word(p[0]):
            if p[0] == c'"' or p[0] == c"'":
                quote = p[0]
                p += 1
                target = unquote(&p, end, target, quote)
                if target == NULL:
                    return False
            else:
                target[0] = p[0]
                target += 1
                p += 1
        batch_push(batch, start, target - start, NULL)


cdef ParseStatus parse_inline(Parser *parser, Batch *batch, char *data, size_t length, const Limits *limits) \
        noexcept nogil:
    """One line; as parse_multibulk, PARSE_FULL stands for "complete"."""
    cdef char *end = NULL
    cdef char *nul = NULL
    cdef size_t line_length
    # The reference servers search a C string: a NUL byte hides the line end (lifecycle A3-14), and once found nothing
    # behind it is looked at again.
    if parser.searched < length and data[parser.searched] == 0:
        nul = data + parser.searched
    else:
        end = <char *>memchr(data + parser.searched, c'\n', length - parser.searched)
        nul = <char *>memchr(data + parser.searched, 0, (end - data if end != NULL else length) - parser.searched)
    if nul != NULL:
        end = NULL
        parser.searched = nul - data
    elif end == NULL:
        parser.searched = length
    if end == NULL:
        return PARSE_ERROR_INLINE if length > limits.inline_request_bytes else PARSE_INCOMPLETE
    line_length = end - data
    if line_length > limits.inline_request_bytes:
        return PARSE_ERROR_INLINE
    parser.position = line_length + 1
    if line_length > 0 and data[line_length - 1] == c'\r':
        line_length -= 1
    if not split_inline(batch, data, line_length):
        return PARSE_ERROR_QUOTES
    return PARSE_FULL


cdef ParseStatus parse_requests(Parser *parser, Batch *batch, char *data, size_t length, const Limits *limits,
                                bint authenticated, size_t *consumed, char *found) noexcept nogil:
    cdef size_t offset = 0, first
    cdef ParseStatus status = PARSE_INCOMPLETE
    # A command of an unauthenticated client may change what the next request is allowed to be.
    cdef size_t capacity = batch.request_capacity if authenticated else 1
    consumed[0] = 0
    while offset < length:
        if batch.request_count == capacity:
            return PARSE_FULL
        first = batch.arg_count
        if data[offset] == c'*':
            status = parse_multibulk(parser, batch, data + offset, length - offset, first, limits, authenticated, found)
        elif batch.request_count > 0:
            return PARSE_FULL
        else:
            status = parse_inline(parser, batch, data + offset, length - offset, limits)
            capacity = 1
        if status != PARSE_FULL:
            return status
        offset += parser.position
        parser.kind = REQUEST_NONE
        parser.position = 0
        parser.searched = 0
        consumed[0] = offset
        # An empty request leaves no trace: neither a command nor a parser in the middle of something.
        if batch.arg_count > first:
            batch_finish(batch, first, offset)
        status = PARSE_INCOMPLETE
    return status
