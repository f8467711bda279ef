"""What stands between the values of a snapshot: the opcodes of an RDB file.

A file is `magic | items | 255 | CRC-64`: the magic is REDIS and four digits, or VALKEY and three; an item is a value
under its key (rdb.pxd: type byte, key, value) or one of the opcodes below, of which some say something about the next
key. The checksum covers everything before it, little endian, and is 0 in a file that was written without.
"""

cdef enum Opcode:
    OPCODE_SLOT_IMPORT = 243         # Valkey, cluster: an import of slots in progress
    OPCODE_SLOT_SIZES = 244          # Valkey, cluster: three lengths, a hint
    OPCODE_FUNCTIONS = 245           # the text of a library of functions
    OPCODE_FUNCTIONS_EARLY = 246     # as release candidates of Redis 7.0 wrote them
    OPCODE_MODULE_AUXILIARY = 247
    OPCODE_IDLE = 248                # of the next key: seconds, under an LRU policy
    OPCODE_FREQUENCY = 249           # of the next key: one byte, under an LFU policy
    OPCODE_AUXILIARY = 250           # name and text
    OPCODE_SIZES = 251               # of the database: keys, and keys that expire; a hint
    OPCODE_EXPIRY_MS = 252           # of the next key
    OPCODE_EXPIRY_SECONDS = 253      # of the next key, as Redis before 2.6 wrote it
    OPCODE_DATABASE = 254            # what follows lies in this database
    OPCODE_END = 255

cdef enum:
    RDB_VERSION_CHECKSUM = 5         # files from this version on end in a checksum
    CHECKSUM_BYTES = 8
    # Values of types that modules define, in versions that cannot be skipped and that can.
    RDB_MODULE_EARLY = 6
    RDB_MODULE = 7

# Parts of a module's value or of its auxiliary data, each behind a length that tells which it is.
cdef enum ModulePart:
    MODULE_END = 0
    MODULE_SIGNED = 1
    MODULE_UNSIGNED = 2
    MODULE_FLOAT = 3
    MODULE_DOUBLE = 4
    MODULE_STRING = 5
