/* libFuzzer entry for the request parser, without the interpreter: the generated request.c is included as it is.
 *
 * The first four bytes of the input say how the rest is cut. The rest is parsed three times: in one piece, byte by byte,
 * and in random pieces. However it is cut, the same arguments come out in the same order, and the same error. Every
 * buffer that the parser sees has exactly the size of its contents, so that AddressSanitizer notices one byte too many.
 * The limits are small, so that a short input meets each of them. tools/fuzz.py builds and runs this.
 */
#include "request.c"

#undef NDEBUG
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define F(name) __pyx_f_7ranvier_6engine_7request_##name
#define M(name) __pyx_f_7ranvier_6engine_6memory_##name
typedef struct __pyx_t_7ranvier_6engine_4core_Parser Parser;
typedef struct __pyx_t_7ranvier_6engine_4core_Batch Batch;
typedef struct __pyx_t_7ranvier_6engine_4core_Limits Limits;
typedef struct __pyx_t_7ranvier_6engine_4core_Request Request;
typedef struct __pyx_t_7ranvier_6engine_4core_Arg Arg;
typedef struct __pyx_t_7ranvier_6engine_6memory_Memory Memory;
typedef struct __pyx_t_7ranvier_6engine_6memory_Blob Blob;

enum { INCOMPLETE = 0, FULL = 1, BATCH_REQUESTS = 3, BLOB_FIRST_BYTES = 16 };

static const Limits limits = {
    .inline_request_bytes = 200,
    .argument_count = 1000,
    .big_argument_bytes = 40,
    .bulk_bytes = 500,
    .unauthenticated_arguments = 10,
    .unauthenticated_bulk_bytes = 100,
};

/* What a run has produced: a hash of all arguments in order, their number, and how it ended. */
typedef struct {
    uint64_t digest;
    size_t requests;
    int status;
    char found;
} Outcome;

/* One connection: the beginning of a request that is kept between two reads, and the big argument being filled. */
typedef struct {
    Memory memory;
    Parser parser;
    Batch batch;
    char *kept;
    size_t kept_length;
    int authenticated;
    Outcome outcome;
} Connection;

static void digest_bytes(uint64_t *digest, const char *data, size_t length) {
    for (size_t i = 0; i < length; i++) *digest = (*digest ^ (unsigned char)data[i]) * 1099511628211u;
    *digest = (*digest ^ length) * 1099511628211u;
}

static void execute_batch(Connection *connection, size_t consumed) {
    Batch *batch = &connection->batch;
    for (size_t i = 0; i < batch->request_count; i++) {
        Request *request = &batch->requests[i];
        assert(request->count > 0 && request->first + request->count <= batch->arg_count);
        assert(request->end <= consumed && (i == 0 || request->end > batch->requests[i - 1].end));
        for (size_t j = 0; j < request->count; j++) {
            Arg *arg = &batch->args[request->first + j];
            digest_bytes(&connection->outcome.digest, arg->data, arg->length);
        }
        digest_bytes(&connection->outcome.digest, "end", 3);
        connection->outcome.requests++;
    }
    F(batch_clear)(batch);
}

/* The big argument takes what belongs to it; returns how many bytes it took. */
static size_t fill_big(Connection *connection, const char *data, size_t length) {
    Blob *big = connection->parser.big;
    size_t need = (size_t)connection->parser.bulk_length + 2, room = need - big->size;
    size_t taken = length < room ? length : room;
    if (big->capacity < big->size + taken) {
        big = M(resize)(&connection->memory, big, sizeof(Blob) + big->size + taken);
        big->capacity = big->size + taken;
        connection->parser.big = big;
    }
    memcpy((char *)(big + 1) + big->size, data, taken);
    big->size += taken;
    return taken;
}

static void keep(Connection *connection, const char *data, size_t length) {
    size_t kept = length;
    if (length > 0 && F(wants_blob)(&connection->parser, &limits)) {
        Blob *big = M(allocate)(&connection->memory, sizeof(Blob));
        kept = connection->parser.position;
        assert(kept <= length);
        big->references = 1;
        big->size = big->capacity = 0;
        connection->parser.big = big;
        size_t taken = fill_big(connection, data + kept, length - kept);
        assert(taken == length - kept);            /* had it all arrived, it would have been parsed */
    }
    char *copy = malloc(kept ? kept : 1);
    memcpy(copy, data, kept);
    free(connection->kept);
    connection->kept = copy;
    connection->kept_length = kept;
}

/* Parse all that `buffer` holds, keep the rest. */
static void parse(Connection *connection, const char *data, size_t length) {
    char *buffer = malloc(length ? length : 1);
    size_t offset = 0, consumed, rounds = 0;
    memcpy(buffer, data, length);
    for (;;) {
        int status = F(parse_requests)(&connection->parser, &connection->batch, buffer + offset, length - offset, &limits,
                                       connection->authenticated, &consumed, &connection->outcome.found);
        assert(consumed <= length - offset);
        assert(status != FULL || connection->batch.request_count > 0);
        assert(++rounds <= length + 1);
        execute_batch(connection, consumed);
        offset += consumed;
        connection->outcome.status = status;
        if (status == FULL) continue;
        if (status == INCOMPLETE) keep(connection, buffer + offset, length - offset);
        break;
    }
    free(buffer);
}

static void feed(Connection *connection, const char *data, size_t length) {
    while (length > 0 && connection->outcome.status == INCOMPLETE) {
        if (connection->parser.big != NULL) {
            size_t taken = fill_big(connection, data, length);
            data += taken;
            length -= taken;
            char *kept = connection->kept;         /* parsed again with the same prefix, as the loop does */
            size_t kept_length = connection->kept_length;
            connection->kept = NULL;
            parse(connection, kept, kept_length);
            free(kept);
            continue;
        }
        char *whole = malloc(connection->kept_length + length);
        memcpy(whole, connection->kept, connection->kept_length);
        memcpy(whole + connection->kept_length, data, length);
        parse(connection, whole, connection->kept_length + length);
        free(whole);
        return;
    }
}

/* Parse `data` in pieces whose sizes `cut` decides: 0 for one piece, 1 for single bytes, else a seed. */
static Outcome run(const char *data, size_t length, int authenticated, uint32_t cut) {
    Connection connection = {.authenticated = authenticated, .kept = malloc(1)};
    F(parser_init)(&connection.parser);
    F(batch_init)(&connection.batch, &connection.memory, BATCH_REQUESTS);
    for (size_t offset = 0; offset < length;) {
        size_t piece = length - offset;
        if (cut == 1) piece = 1;
        if (cut > 1) {
            cut = cut * 1664525u + 1013904223u;
            if (cut == 1) cut = 2;
            piece = 1 + (cut >> 16) % (cut & 1 ? 5 : 90);
        }
        if (piece > length - offset) piece = length - offset;
        feed(&connection, data + offset, piece);
        offset += piece;
    }
    F(parser_reset)(&connection.parser, &connection.memory);
    F(batch_free)(&connection.batch);
    free(connection.kept);
    assert(connection.memory.used_bytes == 0);
    return connection.outcome;
}

static void assert_equal(Outcome one, Outcome other) {
    assert(one.requests == other.requests && one.digest == other.digest);
    assert(one.status == other.status && one.found == other.found);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 4) return 0;
    int authenticated = data[0] & 1;
    uint32_t seed = 2 + (data[1] | data[2] << 8 | data[3] << 16);
    const char *text = (const char *)data + 4;
    Outcome whole = run(text, size - 4, authenticated, 0);
    assert_equal(whole, run(text, size - 4, authenticated, 1));
    assert_equal(whole, run(text, size - 4, authenticated, seed));
    return 0;
}
