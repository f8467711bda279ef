"""Native handlers of the group hyperloglog: counting different elements in a string of 12 KB or less.

The values are strings, and any string may be called one: `hll_is_valid` looks at its header before anything else, and
what its registers say is checked while they are read.
"""

from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint8_t, uint64_t
from libc.string cimport memset

from ranvier.engine.core cimport EFFECT_TRACKED, EFFECT_WATCHED, EVENT_STRING, Arg, Call, native_t
from ranvier.engine.dispatch cimport text_of
from ranvier.engine.effects cimport changed
from ranvier.engine.memory cimport Blob, Memory, blob_data, blob_release, memory_init
from ranvier.engine.modes.tracking cimport tracking_touch
from ranvier.engine.modes.watch cimport watch_touch
from ranvier.engine.native.common cimport arg_is, find_read, not_string
from ranvier.engine.reply cimport (
    reply_array, reply_bulk, reply_error, reply_error_bytes, reply_integer, reply_ok, reply_raw,
)
from ranvier.engine.store.database cimport (
    database_find_write, database_set_blob, database_writable_blob, entry_string,
)
from ranvier.engine.store.entry cimport (
    ENCODING_BLOB, Entry, entry_encoding, entry_pointer, entry_set_pointer,
)
from ranvier.engine.types.hyperloglog cimport (
    HLL_CORRUPT, HLL_DENSE, HLL_HEADER_BYTES, HLL_REGISTERS, HLL_SAME, HLL_SPARSE, hll_add, hll_count,
    hll_count_registers, hll_encoding, hll_forget_count, hll_is_valid, hll_keep_count, hll_kept_count, hll_merge,
    hll_new, hll_next_run, hll_raise, hll_to_dense,
)

cdef enum:
    DECODED_OPCODES = HLL_REGISTERS      # shown of a sparse one: a sound one has no more
    SELF_TEST_ELEMENTS = 5000


cdef native_t hyperloglog_handler(str name) except? NULL:
    if name == "pfadd":
        return pfadd
    if name == "pfcount":
        return pfcount
    if name == "pfmerge":
        return pfmerge
    if name == "pfdebug":
        return pfdebug
    if name == "pfselftest":
        return pfselftest
    return NULL


# ---- under a key ----------------------------------------------------------------------------------------------------

cdef void reply_corrupt(Call *call) noexcept:
    reply_error(call, b"INVALIDOBJ Corrupted HLL object detected")


cdef bint not_counting(Call *call, const Entry *entry) noexcept:
    """1, with the error replied, when there is a value and it is no HyperLogLog."""
    cdef const char *data
    cdef size_t length = 0
    cdef char scratch[24]
    if not_string(call, entry):
        return True
    if entry == NULL:
        return False
    data = entry_string(entry, scratch, &length)
    if hll_is_valid(data, length):
        return False
    reply_error(call, b"WRONGTYPE Key is not a valid HyperLogLog string value.")
    return True


cdef Blob *own_blob(Call *call, Entry **entry) noexcept:
    """The value of the command's key in a blob that may be changed and replaced (`put_back`)."""
    cdef Blob *blob
    cdef char scratch[24]
    cdef size_t length = 0
    if entry_encoding(entry[0]) == ENCODING_BLOB:
        blob = <Blob *>entry_pointer(entry[0])
        if blob.references == 1:
            return blob
    entry_string(entry[0], scratch, &length)
    return database_writable_blob(call.database, call.hash, entry, length)


cdef inline void put_back(Call *call, Entry *entry, Blob *blob) noexcept:
    cdef const Arg *key = &call.args[1]
    if entry == NULL:
        database_set_blob(call.database, call.hash, key.data, key.length, blob, False)
    else:
        entry_set_pointer(entry, ENCODING_BLOB, blob)


cdef void rewritten(Call *call, const Arg *key) noexcept:
    """The bytes changed and what they count did not: told as every change is, except that there is no event for it."""
    call.dirty += 1
    if call.core.effects & EFFECT_WATCHED:
        watch_touch(call.core, call.database, key.data, key.length, False)
    if call.core.effects & EFFECT_TRACKED:
        tracking_touch(call.core, call.client, key.data, key.length)


cdef void pfadd(Call *call) noexcept:
    cdef const Arg *key = &call.args[1]
    cdef Memory *memory = &call.core.memory
    cdef Entry *entry = database_find_write(call.database, call.hash, key.data, key.length)
    cdef Blob *blob
    cdef int64_t changes = 0
    cdef int result = HLL_SAME
    cdef size_t i
    if not_counting(call, entry):
        return
    if entry == NULL:
        blob = hll_new(memory)
        changes = 1
    else:
        blob = own_blob(call, &entry)
    for i in range(2, call.count):
        result = hll_add(memory, &blob, call.args[i].data, call.args[i].length,
                         call.core.encodings.hyperloglog_sparse_bytes)
        if result == HLL_CORRUPT:
            break
        changes += result
    if changes:
        hll_forget_count(blob_data(blob))
    put_back(call, entry, blob)
    if changes:
        changed(call, key.data, key.length, EVENT_STRING, b"pfadd")
        call.dirty += changes - 1
    if result == HLL_CORRUPT:
        reply_corrupt(call)
    else:
        reply_integer(call.client, 1 if changes else 0)


# ---- counting -------------------------------------------------------------------------------------------------------

cdef bint merge_sources(Call *call, size_t first, uint8_t *registers, bint *dense) noexcept:
    """The greatest registers of the keys from args[first] on; 0 when the error is replied."""
    cdef Entry *entry
    cdef const char *data
    cdef char scratch[24]
    cdef size_t i, length = 0
    memset(registers, 0, HLL_REGISTERS)
    for i in range(first, call.count):
        entry = find_read(call, &call.args[i])
        if not_counting(call, entry):
            return False
        if entry == NULL:
            continue
        data = entry_string(entry, scratch, &length)
        if hll_encoding(data) == HLL_DENSE:
            dense[0] = True
        if not hll_merge(registers, data, length):
            reply_corrupt(call)
            return False
    return True


cdef void pfcount(Call *call) noexcept:
    cdef uint8_t registers[HLL_REGISTERS]
    cdef Entry *entry
    cdef const char *data
    cdef char scratch[24]
    cdef size_t length = 0
    cdef uint64_t count = 0
    cdef bint dense = False
    if call.count > 2:
        if merge_sources(call, 1, registers, &dense):
            reply_integer(call.client, <int64_t>hll_count_registers(registers))
        return
    entry = find_read(call, &call.args[1])
    if not_counting(call, entry):
        return
    if entry != NULL:
        data = entry_string(entry, scratch, &length)
        if not hll_kept_count(data, &count):
            if not hll_count(data, length, &count):
                reply_corrupt(call)
                return
            hll_keep_count(blob_data(own_blob(call, &entry)), count)
            rewritten(call, &call.args[1])
    reply_integer(call.client, <int64_t>count)


# ---- merging --------------------------------------------------------------------------------------------------------

cdef void pfmerge(Call *call) noexcept:
    cdef uint8_t registers[HLL_REGISTERS]
    cdef const Arg *key = &call.args[1]
    cdef Memory *memory = &call.core.memory
    cdef Entry *entry
    cdef Blob *blob
    cdef bint dense = False, sound
    cdef size_t i
    if not merge_sources(call, 1, registers, &dense):
        return
    entry = database_find_write(call.database, call.hash, key.data, key.length)
    blob = own_blob(call, &entry) if entry != NULL else hll_new(memory)
    sound = not dense or hll_to_dense(memory, &blob)
    for i in range(<size_t>HLL_REGISTERS):
        if sound and registers[i]:
            sound = hll_raise(memory, &blob, i, registers[i],
                              call.core.encodings.hyperloglog_sparse_bytes) != HLL_CORRUPT
    hll_forget_count(blob_data(blob))
    put_back(call, entry, blob)
    changed(call, key.data, key.length, EVENT_STRING, b"pfadd")
    if sound:
        reply_ok(call.client)
    else:
        reply_corrupt(call)


# ---- looking inside -------------------------------------------------------------------------------------------------

cdef bint turn_dense(Call *call, Entry *entry, Blob **blob, bint *turned) noexcept:
    """Have the key's value be dense; 0 when the error is replied."""
    blob[0] = own_blob(call, &entry)
    turned[0] = hll_encoding(blob_data(blob[0])) == HLL_SPARSE
    if not hll_to_dense(&call.core.memory, blob):
        reply_corrupt(call)
        return False
    entry_set_pointer(entry, ENCODING_BLOB, blob[0])
    if turned[0]:
        rewritten(call, &call.args[2])
    return True


cdef void show_registers(Call *call, Entry *entry) noexcept:
    cdef uint8_t registers[HLL_REGISTERS]
    cdef Blob *blob = NULL
    cdef bint turned = False
    cdef size_t i
    if not turn_dense(call, entry, &blob, &turned):
        return
    memset(registers, 0, HLL_REGISTERS)
    hll_merge(registers, blob_data(blob), blob.size)
    reply_array(call.client, HLL_REGISTERS)
    for i in range(<size_t>HLL_REGISTERS):
        reply_integer(call.client, registers[i])


cdef void show_opcodes(Call *call, const Entry *entry) noexcept:
    cdef char scratch[24]
    cdef size_t length = 0
    cdef const char *data = entry_string(entry, scratch, &length)
    cdef const uint8_t *p = <const uint8_t *>data + HLL_HEADER_BYTES
    cdef const uint8_t *end = <const uint8_t *>data + length
    cdef int value = 0, size = 0, run
    cdef list shown = []
    cdef bytes text
    if hll_encoding(data) != HLL_SPARSE:
        reply_error(call, b"ERR HLL encoding is not sparse")
        return
    while len(shown) <= DECODED_OPCODES:
        run = hll_next_run(p, end, &value, &size)
        if run == 0:
            break
        if value:
            shown.append(b"v:%d,%d" % (value, run))
        else:
            shown.append(b"%s:%d" % (b"Z" if size == 2 else b"z", run))
        p += size
    if len(shown) > DECODED_OPCODES:
        reply_corrupt(call)
        return
    text = b" ".join(shown)
    reply_bulk(call.client, text, len(text))


cdef void pfdebug(Call *call) noexcept:
    cdef const Arg *word = &call.args[1]
    cdef const Arg *key = &call.args[2]
    cdef Entry *entry
    cdef Blob *blob = NULL
    cdef char scratch[24]
    cdef size_t length = 0
    cdef bint turned = False
    if arg_is(word, b"simd"):
        # There is one way of counting here: the answer is the reference's, and nothing else happens.
        if arg_is(key, b"on"):
            reply_raw(call.client, b"+enabled\r\n", 10)
        elif arg_is(key, b"off"):
            reply_raw(call.client, b"+disabled\r\n", 11)
        else:
            reply_error(call, b"ERR Argument must be ON or OFF")
        return
    entry = database_find_write(call.database, call.hash, key.data, key.length)
    if entry == NULL:
        reply_error(call, b"ERR The specified key does not exist")
    elif not_counting(call, entry):
        pass
    elif arg_is(word, b"getreg"):
        show_registers(call, entry)
    elif arg_is(word, b"decode"):
        show_opcodes(call, entry)
    elif arg_is(word, b"encoding"):
        if hll_encoding(entry_string(entry, scratch, &length)) == HLL_DENSE:
            reply_raw(call.client, b"+dense\r\n", 8)
        else:
            reply_raw(call.client, b"+sparse\r\n", 9)
    elif arg_is(word, b"todense"):
        if turn_dense(call, entry, &blob, &turned):
            reply_integer(call.client, turned)
    else:
        call.failed = True
        reply_error_bytes(call.client, b"ERR Unknown PFDEBUG subcommand '%s'" % text_of(word))


cdef void pfselftest(Call *call) noexcept:
    """Dense and sparse must tell the same registers at any size, and the estimate must be near the truth."""
    cdef Memory memory
    cdef Blob *sparse
    cdef Blob *dense
    cdef uint64_t i, count = 0, error
    cdef uint8_t one[HLL_REGISTERS]
    cdef uint8_t other[HLL_REGISTERS]
    cdef size_t j
    cdef bint sound = True
    memory_init(&memory)
    sparse = hll_new(&memory)
    dense = hll_new(&memory)
    hll_to_dense(&memory, &dense)
    for i in range(1, <uint64_t>SELF_TEST_ELEMENTS + 1):
        if hll_add(&memory, &sparse, <char *>&i, 8, <size_t>-1) != hll_add(&memory, &dense, <char *>&i, 8, 0):
            sound = False
        if i & (i - 1) == 0 or i == SELF_TEST_ELEMENTS:
            memset(one, 0, HLL_REGISTERS)
            memset(other, 0, HLL_REGISTERS)
            sound = sound and hll_merge(one, blob_data(sparse), sparse.size) \
                and hll_merge(other, blob_data(dense), dense.size)
            for j in range(<size_t>HLL_REGISTERS):
                sound = sound and one[j] == other[j]
            count = hll_count_registers(one)
            error = count - i if count > i else i - count
            sound = sound and error <= i // 20 + 2           # six times the standard error of 0.81 %
    blob_release(&memory, sparse)
    blob_release(&memory, dense)
    if sound and memory.used_bytes == 0:
        reply_ok(call.client)
    else:
        reply_error(call, b"ERR TESTFAILED sparse and dense registers differ, or the estimate is off")
