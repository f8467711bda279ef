"""What native handlers have in common: finding keys, checking types, the errors they share."""

from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint64_t

from ranvier.engine.core cimport Arg, Call
from ranvier.engine.number cimport parse_integer
from ranvier.engine.reply cimport reply_error
from ranvier.engine.store.database cimport (
    Database,
    database_find,
    database_find_read,
    database_find_write,
    database_hash,
    database_set_blob,
    database_set_string,
)
from ranvier.engine.store.entry cimport TYPE_STRING, Entry, entry_type

cdef bytes arg_bytes(const Arg *arg)
# An option word, compared without regard to case and as a C string: a NUL byte ends it. `word` is in lower case.
cdef bint arg_is(const Arg *arg, const char *word) noexcept nogil
cdef void reply_command_error(Call *call, const char *before) noexcept
cdef void reply_wrong_arity(Call *call) noexcept

# The moment that an expiry argument means, in wall-clock ms; 0 (with the error replied) when it is not valid.
cdef bint parse_expiry(Call *call, const Arg *arg, bint milliseconds, bint absolute, int64_t *at_ms) noexcept


# As find_read, counting a hit or a miss, but looking is no access.
cdef Entry *look_up(Call *call, const Arg *key) noexcept
# Delete an existing key that was given an expiry in the past: counted, told and propagated as an expiry.
cdef void delete_expired(Call *call, uint64_t hash, const Arg *key) noexcept


cdef inline bint has_passed(const Call *call, int64_t at_ms) noexcept nogil:
    """Whether a key with this expiry is gone already, and it is for this server to say so."""
    return at_ms <= call.core.wall_ms and call.core.keyspace.expires_are_deletes


cdef inline Entry *find_read(Call *call, const Arg *key) noexcept:
    return database_find_read(call.database, database_hash(call.database, key.data, key.length), key.data, key.length)


cdef inline void reply_wrong_type(Call *call) noexcept:
    reply_error(call, b"WRONGTYPE Operation against a key holding the wrong kind of value")


cdef inline void reply_syntax_error(Call *call) noexcept:
    reply_error(call, b"ERR syntax error")


cdef inline bint not_string(Call *call, const Entry *entry) noexcept:
    """1, with the error replied, when there is a value and it is not a string."""
    if entry != NULL and entry_type(entry) != TYPE_STRING:
        reply_wrong_type(call)
        return True
    return False


cdef inline bint integer_argument(Call *call, const Arg *arg, int64_t *value) noexcept:
    """0, with the error replied, when the argument is no 64-bit integer."""
    if parse_integer(arg.data, arg.length, value):
        return True
    reply_error(call, b"ERR value is not an integer or out of range")
    return False


cdef inline Entry *store(Call *call, uint64_t hash, const Arg *key, const Arg *value, bint keep_expiry) noexcept:
    """Set a key to an argument; a big one that came in a blob of its own is taken over, not copied."""
    if value.blob != NULL:
        value.blob.references += 1
        return database_set_blob(call.database, hash, key.data, key.length, value.blob, keep_expiry)
    return database_set_string(call.database, hash, key.data, key.length, value.data, value.length, keep_expiry)
