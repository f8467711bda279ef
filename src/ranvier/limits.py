"""Every limit on what a peer can grow, with its reason. Options of the configuration override those they name.

Numbers that are Redis's own are kept, because clients and operators know them (lifecycle: A2, A3, A6).
"""

# Reading -------------------------------------------------------------------------------------------------------------
READ_BUFFER_BYTES = 65536  # the loop's shared read buffer: what all reads of one turn fit in
READ_MINIMUM_BYTES = 16384  # a read is not started with less room than this, so that every client gets a fair share
READ_BEFORE_BIG_BYTES = 1024  # read of a client whose last request had a big argument: no copy of the next
BIG_ARGUMENT_TRUST_BYTES = 1024**2  # room given at once to a client that has sent an argument of that size before
INLINE_REQUEST_BYTES = 65536  # an inline line, and the header line of a count (PROTO_INLINE_MAX_SIZE)
ARGUMENT_COUNT = 2**31 - 1  # announced by `*n`; the argument array grows with what has arrived
BIG_ARGUMENT_BYTES = 32768  # from here an argument is read into a blob of its own (PROTO_MBULK_BIG_ARG)
BULK_BYTES = 512 * 1024**2  # proto-max-bulk-len
QUERY_BUFFER_BYTES = 1024**3  # client-query-buffer-limit
BATCH_REQUESTS = 64  # requests parsed ahead before the first of them runs
UNAUTHENTICATED_ARGUMENTS = 10  # what a stranger may make us hold: CVE-2021-32675
UNAUTHENTICATED_BULK_BYTES = 16384  # the same
UNAUTHENTICATED_QUERY_BUFFER_BYTES = 1024**2  # the same
UNAUTHENTICATED_OUTPUT_BYTES = 1024  # replies that a stranger leaves unread: CVE-2025-21605

# Writing -------------------------------------------------------------------------------------------------------------
OUTPUT_BLOCK_BYTES = 16384  # one block of the output buffer (PROTO_REPLY_CHUNK_BYTES)
# One fast reader must not starve the others (NET_MAX_WRITES_PER_EVENT, 64 KB); a 64 KB value fits with its header.
WRITE_BYTES_PER_TURN = 65536 + 512
REFERENCED_VALUE_BYTES = 16384  # from here a value is referenced by the output buffer, not copied into it
# From here a published message is shared by its receivers' buffers (at most 4096). Sharing costs 0.88 of copying at
# 800 bytes to 1,000 subscribers, sixteen in a turn, and 0.67 at 2,500 (tools/fanout.py).
SHARED_MESSAGE_BYTES = 512
OWED_BYTES = 1024**2  # replies owed to a client beyond this make the rest of its requests wait for the write step
TRACKED_KEYS_PER_TRIM = 100  # forgotten before a command while over tracking-table-max-keys; more if that is in vain
# Read of a client that has used up client-read-budget-usec: beyond it the peer's own buffers hold what it sends.
READ_AHEAD_BYTES = 65536
FREE_BLOCKS = 256  # blocks kept for the next reply; more are given back to the allocator
SUBSCRIBER_BLOCKS = 2048  # kept beside those, one for each subscriber: a message to all takes as many at once

# All clients together -----------------------------------------------------------------------------------------------
CLIENTS_MINIMUM_BYTES = 128 * 1024  # the least that maxmemory-clients sets, or nobody could change it again

# Closing -------------------------------------------------------------------------------------------------------------
LINGER_BYTES = 1024**2  # discarded behind the last reply, so that no reset eats it
LINGER_MILLISECONDS = 2000  # and how long, at most
CLOSED_ENTRIES = 128  # client-closed-max-len: closes that CLIENT CLOSED can tell of
CLOSED_ENTRIES_MAXIMUM = 1024**2  # an entry takes about half a kilobyte
CLOSED_NAME_BYTES = 128  # kept of a client's name by each of them

# Accepting -----------------------------------------------------------------------------------------------------------
ACCEPTS_PER_TURN = 10  # max-new-connections-per-cycle
ACCEPT_BACKOFF_MILLISECONDS = 100  # after EMFILE and its like; doubles up to the maximum
ACCEPT_BACKOFF_MAXIMUM_MILLISECONDS = 5000  # that maximum
RESERVED_DESCRIPTORS = 32  # left for files and listeners when maxclients is fitted to RLIMIT_NOFILE
# Connections by the admin port at once, beside maxclients: a person, a monitor, an orchestrator, each twice over.
ADMIN_CLIENTS = 16
ADMIN_SPARE_DESCRIPTORS = 4  # held open for the admin port alone: given up one by one when accept finds no other
# A PROXY header: version 1 takes 107, version 2 has to be sent whole, with extensions (a TLS certificate's names) that
# senders keep within one packet.
PROXY_HEADER_BYTES = 4096
PROXY_HEADER_MILLISECONDS = 5000  # the specification asks for 3 seconds at least, to survive a lost packet
PROXY_NETWORKS = 64  # in proxy-protocol-from

# Work per turn -------------------------------------------------------------------------------------------------------
EVENTS_PER_POLL = 1024
EXPIRE_BUCKETS_PER_SLICE = 16  # home buckets of the expiry index looked at before the clock is read again
EXPIRE_MICROSECONDS_PER_TURN = 1000
FREED_ITEMS_PER_SLICE = 256
FREE_MICROSECONDS_PER_TURN = 1000
TRIM_BYTES = 2 * 1024**2  # freed since the last peak: give the allocator's free memory back to the system
TRIM_AT_ONCE_BYTES = 4 * 1024**2  # ... in one go, which costs up to half a millisecond a megabyte; more goes in pieces
TRIM_AT_ONCE_USED_BYTES = 64 * 1024**2  # ... while no more is in use: what has many holes takes longer
TRIM_WHOLE_BYTES = 32 * 1024**2  # ... with a trim of what lies between the pieces when no more than this was freed,
TRIM_WHOLE_IDLE_BYTES = 64 * 1024**2  # or than this while nobody asks for anything
TRIM_PAUSE_MILLISECONDS = 200  # between two of the cron's: what comes and goes costs a twelfth of the time at most

# Other servers -------------------------------------------------------------------------------------------------------
MIGRATE_GROUP_BYTES = 1024**2  # of requests sent before their replies are read; a larger value goes by itself
MIGRATE_REPLY_BYTES = 1024  # the longest line that the other server may answer

REPLICATION_LINE_BYTES = 1024  # the longest line of a primary's that answers a step of the handshake
TRANSFER_HEADER_BYTES = 1024  # the line in front of a snapshot, or of the reason why there is none
TRANSFER_BYTES = 2**46  # a snapshot: no machine holds more; room is taken for what has arrived
TRANSFER_BYTES_PER_TURN = 1024**2  # of a snapshot read before others have their turn
RECEIVE_BYTES = 262144  # a read of it
# What a primary sends: an argument may be larger than proto-max-bulk-len lets clients make them (a value that grew by
# APPEND, a payload of RESTORE), but is held whole before it is applied.
PRIMARY_BULK_BYTES = 2**32
PRIMARY_QUERY_BUFFER_BYTES = 2**33
RECONNECT_MILLISECONDS = 1000  # from one attempt to reach the primary to the next
RECONNECT_MAXIMUM_MILLISECONDS = 8000  # ... doubling up to here while the primary is reached, but no link comes of it

# Observing -----------------------------------------------------------------------------------------------------------
SLOWLOG_ARGUMENTS = 32  # kept of a slow command, the last of them saying how many were left out
SLOWLOG_ARGUMENT_BYTES = 128
ERROR_CODES = 128  # counted apart in INFO errorstats: scripts can make codes up
DRAWING_SIDE = 200  # columns or rows of LOLWUT: no way to ask for a large reply
