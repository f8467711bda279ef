/* libFuzzer entry for the hash table, without the interpreter: the generated table.c is included as it is.
 *
 * The input is a program: every operation is one byte, followed by its operands. A flat array of flags is the model: the
 * key is a number, so the array says at any time what the table must hold. The seed is fixed, so that a crash repeats.
 *
 * Build (from the repository's root, after build_ext has generated build/cython; what is left of Python's names in
 * table.c is never called, so that the linker may ignore it, which needs an executable at a fixed address):
 *   clang -g -O1 -w -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all -fno-strict-aliasing \
 *     $(python3-config --includes) -Ibuild/cython/src/ranvier/engine/store fuzz/fuzz_table.c \
 *     -fno-pie -no-pie -Wl,--unresolved-symbols=ignore-all -o build/fuzz_table
 *   build/fuzz_table -max_total_time=60 -max_len=400
 */
#include "table.c"

#undef NDEBUG
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define F(name) __pyx_f_7ranvier_6engine_5store_5table_##name
typedef struct __pyx_t_7ranvier_6engine_5store_5table_Table Table;
typedef struct __pyx_t_7ranvier_6engine_5store_5table_Bucket Bucket;
typedef struct __pyx_t_7ranvier_6engine_5store_5table_Layout Layout;
typedef struct __pyx_t_7ranvier_6engine_6memory_Memory Memory;

enum { KEYS = 4096 };

typedef struct {
    uint32_t number;
    char key[8];
} Item;

typedef struct {
    Table table;
    Memory memory;
    unsigned char present[KEYS];
    size_t count;
} State;

static const char *item_key(const void *item, size_t *length) {
    *length = sizeof ((const Item *)item)->key;
    return ((const Item *)item)->key;
}

static void item_free(Memory *memory, void *item) {
    memory->used_bytes -= malloc_usable_size(item);
    free(item);
}

static const Layout layout = {item_key, item_free};

static void make_key(uint32_t number, char *key) {
    memset(key, 'k', 8);
    memcpy(key + 2, &number, 4);
}

static uint64_t hash_of(State *state, uint32_t number) {
    char key[8];
    make_key(number, key);
    return F(hash_bytes)(state->table.seed0, state->table.seed1, key, 8);
}

static void insert(State *state, uint32_t number) {
    Item *item = malloc(sizeof *item);
    uint64_t moved = state->table.moved_total;
    if (state->present[number]) {
        free(item);
        return;
    }
    state->memory.used_bytes += malloc_usable_size(item);
    item->number = number;
    make_key(number, item->key);
    F(table_insert)(&state->table, hash_of(state, number), item);
    state->present[number] = 1;
    state->count++;
    assert(state->table.moved_total - moved <= 2);
}

static void find(State *state, uint32_t number) {
    char key[8];
    void **slot;
    make_key(number, key);
    F(table_prefetch)(&state->table, hash_of(state, number));
    F(table_prefetch_item)(&state->table, hash_of(state, number));
    slot = F(table_find)(&state->table, hash_of(state, number), key, 8);
    assert((slot != NULL) == state->present[number]);
    assert(slot == NULL || ((Item *)*slot)->number == number);
}

static void drop(State *state, uint32_t number) {
    char key[8];
    Item *item;
    uint64_t moved = state->table.moved_total;
    make_key(number, key);
    item = F(table_remove)(&state->table, hash_of(state, number), key, 8);
    assert((item != NULL) == state->present[number]);
    assert(state->table.moved_total - moved <= 2);
    if (item == NULL) return;
    assert(item->number == number);
    state->present[number] = 0;
    state->count--;
    item_free(&state->memory, item);
}

static void mark(void *context, void *item) {
    ((unsigned char *)context)[((Item *)item)->number]++;
}

/* Every item exactly once, from whatever state the table is in. */
static void check_all(State *state) {
    unsigned char seen[KEYS] = {0};
    uint64_t cursor = 0;
    do cursor = F(table_scan)(&state->table, cursor, mark, seen);
    while (cursor != 0);
    assert(memcmp(seen, state->present, KEYS) == 0);
    assert(state->table.count == state->count);
}

/* Structure: the load, the addressing numbers, no chain without need. */
static void check_structure(State *state) {
    Table *table = &state->table;
    size_t chained = 0, items = 0;
    if (table->buckets == 0) {
        assert(table->count == 0 && table->segments == NULL);
        return;
    }
    assert(table->buckets == table->low_mask + 1 + table->split && table->split <= table->low_mask);
    assert(2 * table->count <= 9 * table->buckets);
    assert(table->buckets == 1 || table->count >= 2 * table->buckets);
    for (size_t i = 0; i < table->buckets; i++) {
        Bucket *bucket = &table->segments[i / 1024][i % 1024];
        for (;; bucket = bucket->slots[6], chained++) {
            int used = __builtin_popcount(bucket->present & 127);
            items += used;
            if (!(bucket->present & 128)) break;
            assert(used == 6 && !(bucket->present & 64));
            assert(__builtin_popcount(((Bucket *)bucket->slots[6])->present & 127) >= 2);
        }
    }
    assert(items == table->count && chained == table->chained_buckets);
}

/* A scan disturbed by inserts and removals between its steps sees what is there from its first step to its last. */
static void disturbed_scan(State *state, const uint8_t *data, size_t size) {
    unsigned char seen[KEYS] = {0}, stays[KEYS];
    uint64_t cursor = 0;
    size_t i = 0;
    memcpy(stays, state->present, KEYS);
    do {
        cursor = F(table_scan)(&state->table, cursor, mark, seen);
        if (i + 2 <= size) {
            uint32_t from = data[i] * 16u, amount = (data[i + 1] & 127) * 8u;
            for (uint32_t n = from; n < from + amount && n < KEYS; n++) {
                if (data[i + 1] & 128) {
                    drop(state, n);
                    stays[n] = 0;
                } else {
                    insert(state, n);
                }
            }
            i += 2;
        }
    } while (cursor != 0);
    for (uint32_t n = 0; n < KEYS; n++) assert(!stays[n] || seen[n]);
}

static void restart(State *state, int by_slices, size_t budget) {
    while (by_slices) {
        size_t before = state->table.count;
        size_t left = F(table_free_slice)(&state->table, budget + 1);
        assert(before - left <= budget + 1);
        if (left == 0) break;
    }
    F(table_clear)(&state->table);
    assert(state->memory.used_bytes == 0 && state->table.segments == NULL && state->table.buckets == 0);
    memset(state->present, 0, KEYS);
    state->count = 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static State state;
    uint64_t random = 88172645463325252u;
    size_t i = 0;
    memset(&state, 0, sizeof state);
    F(table_init)(&state.table, &state.memory, &layout, 11, 13);
    while (i + 4 <= size) {
        uint32_t number = (data[i + 1] | data[i + 2] << 8) % KEYS;
        uint32_t amount = data[i + 3] * 16u;
        switch (data[i] % 9) {
        case 0: insert(&state, number); break;
        case 1: drop(&state, number); break;
        case 2: find(&state, number); break;
        case 3:
            for (uint32_t n = number; n < number + amount && n < KEYS; n++) insert(&state, n);
            break;
        case 4:
            for (uint32_t n = number; n < number + amount && n < KEYS; n++) drop(&state, n);
            break;
        case 5: check_all(&state); break;
        case 6: {
            Item *item = F(table_random)(&state.table, &random);
            assert((item == NULL) == (state.count == 0));
            assert(item == NULL || state.present[item->number]);
            break;
        }
        case 7: {
            size_t rest = size - i - 4 < data[i + 3] ? size - i - 4 : data[i + 3];
            disturbed_scan(&state, data + i + 4, rest);
            i += rest;
            break;
        }
        case 8: restart(&state, data[i + 3] & 1, number); break;
        }
        check_structure(&state);
        i += 4;
    }
    check_all(&state);
    for (uint32_t n = 0; n < KEYS; n += 7) find(&state, n);
    restart(&state, 0, 0);
    return 0;
}
