"""How sorted-set commands answer: scores, members, pairs."""

from libc.stddef cimport size_t
from libc.stdint cimport int64_t

from ranvier.engine.core cimport Client
from ranvier.engine.output cimport output_commit, output_room
from ranvier.engine.reply cimport reply_array, reply_bulk, reply_bulk_integer
from ranvier.engine.types.listpack cimport Element
from ranvier.engine.types.score cimport SCORE_TEXT_BYTES, print_score
from ranvier.engine.types.sorted_set cimport Ranks, Scored, SortedSet, Spot, sorted_set_seek, spot_read, spot_step

# Where scores stand beside their members.
cdef enum PairForm:
    REPLY_BY_PROTOCOL = 0        # flat in RESP2, nested in RESP3
    REPLY_FLAT = 1               # behind the member, in the same array
    REPLY_NESTED = 2             # member and score in an array of their own


cdef inline void reply_score(Client *client, double score) noexcept nogil:
    """A double in RESP3, a bulk string in RESP2."""
    cdef char[SCORE_TEXT_BYTES] text
    cdef char *target
    cdef size_t length
    if client.protocol == 2:
        length = print_score(text, score)
        reply_bulk(client, text, length)
        return
    target = output_room(client, SCORE_TEXT_BYTES + 3)
    target[0] = c','
    length = 1 + print_score(target + 1, score)
    target[length] = c'\r'
    target[length + 1] = c'\n'
    output_commit(client, length + 2)


cdef inline void reply_member(Client *client, const Element *member) noexcept nogil:
    if member.data != NULL:
        reply_bulk(client, member.data, member.length)
    else:
        reply_bulk_integer(client, member.integer)


cdef inline void reply_pairs_header(Client *client, int64_t count, bint with_scores) noexcept nogil:
    """Of `count` members: with scores, RESP2 has twice as many items, RESP3 an array for each pair."""
    reply_array(client, 2 * count if with_scores and client.protocol == 2 else count)


cdef inline void reply_pair(Client *client, const Scored *scored, bint with_score, bint nested) noexcept nogil:
    if nested:
        reply_array(client, 2)
    reply_member(client, &scored.member)
    if with_score:
        reply_score(client, scored.score)


cdef inline void reply_ranks(Client *client, const SortedSet *value, const Ranks *ranks, bint reverse,
                             bint with_scores, int form) noexcept nogil:
    """The members of these ranks; `form`: where the scores stand."""
    cdef Spot spot
    cdef Scored scored
    cdef size_t left = ranks.count
    cdef bint nested = with_scores and (form == REPLY_NESTED or (form == REPLY_BY_PROTOCOL and client.protocol != 2))
    if left == 0:
        return
    sorted_set_seek(value, ranks.first + (left - 1 if reverse else 0), &spot)
    while True:
        spot_read(&spot, &scored)
        reply_pair(client, &scored, with_scores, nested)
        left -= 1
        if left == 0:
            return
        spot_step(&spot, not reverse)
