"""Floating-point numbers in text, as INCRBYFLOAT and HINCRBYFLOAT read and print them: C's long double."""

from libc.stddef cimport size_t
from libc.string cimport memcpy

cdef extern from * nogil:
    """
    #include <errno.h>
    #include <math.h>
    #include <stdlib.h>

    /* `fits`: it is neither too large nor too small for a long double. */
    static inline long double ranvier_long_double(const char *text, char **end, int *fits) {
        errno = 0;
        long double value = strtold(text, end);
        *fits = errno != ERANGE || (value != 0 && !isinf(value));
        return value;
    }
    """
    long double ranvier_long_double(const char *text, char **end, bint *fits)

cdef extern from "<stdio.h>" nogil:
    int snprintf(char *target, size_t size, const char *format, ...)

cdef extern from "<math.h>" nogil:
    bint isnan(long double value)

cdef enum:
    FLOAT_BYTES = 5120           # the longest long double in plain notation, and more


cdef inline bint parse_long_double(const char *text, size_t length, long double *value) noexcept nogil:
    """As C's strtold reads it, the whole text, no NaN, and not what is too large or too small for it."""
    cdef char copy[FLOAT_BYTES]
    cdef char *end = NULL
    cdef bint fits = False
    if length == 0 or length >= FLOAT_BYTES or text[0] == c' ' or (text[0] >= c'\t' and text[0] <= c'\r'):
        return False
    memcpy(copy, text, length)
    copy[length] = 0
    value[0] = ranvier_long_double(copy, &end, &fits)
    return fits and end == copy + length and not isnan(value[0])


cdef inline size_t print_long_double(char *target, long double value) noexcept nogil:
    """Plain notation, 17 digits behind the point, no trailing zeros."""
    cdef int length = snprintf(target, FLOAT_BYTES, b"%.17Lf", value)
    cdef int i
    for i in range(length):
        if target[i] == c'.':
            while target[length - 1] == c'0':
                length -= 1
            if target[length - 1] == c'.':
                length -= 1
            break
    if length == 2 and target[0] == c'-' and target[1] == c'0':
        target[0] = c'0'
        length = 1
    return length
