"""Scores in text: reading what clients and stored values hold, and printing as Valkey 9.1.2 prints (see score.pyx)."""

from libc.stddef cimport size_t

cdef enum:
    SCORE_TEXT_BYTES = 40        # room for any printed score

# A finite number or an infinity, the whole text; 0 for anything else, for NaN, and for what does not fit a double.
cdef bint parse_score(const char *text, size_t length, double *score) noexcept nogil
# As an end of a range: a C string, in which nothing is 0, and what does not fit is infinite or 0.
cdef bint parse_score_limit(const char *text, size_t length, double *score) noexcept nogil
# Write the score (no terminator); returns the number of bytes.
cdef size_t print_score(char *target, double score) noexcept nogil
# As ZSCAN prints a score of an index: always 17 significant digits.
cdef size_t print_score_plainly(char *target, double score) noexcept nogil
