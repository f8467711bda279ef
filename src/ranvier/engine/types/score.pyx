"""Scores in text.

Printing. A score that is an integer (up to 2**62) is printed as one. Any other gets the digits of Grisu2 (Florian
Loitsch, "Printing Floating-Point Numbers Quickly and Accurately with Integers", PLDI 2010): they always read back as
the same number, and nearly always are the shortest that do. An exact algorithm would differ from Valkey in one score
of some three hundred, so the same algorithm it is, in the variant with the narrowest safe interval.

Reading. Decimal notation alone, as the reference server reads it: no hexadecimal, no space, `inf` and `infinity` in any
case. Numbers of at most 15 digits and small exponents need one multiplication or division, which IEEE 754 rounds
correctly (William Clinger, "How to Read Floating Point Numbers Accurately", PLDI 1990); the rest is strtod's.
"""

from libc.stdint cimport int64_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset

from ranvier.engine.number cimport print_integer

cdef extern from *:
    """
    static inline uint64_t ranvier_multiply_high(uint64_t a, uint64_t b) {
        return (uint64_t)(((unsigned __int128)a * b + ((unsigned __int128)1 << 63)) >> 64);
    }
    #define ranvier_leading_zeros(word) __builtin_clzll(word)
    """
    # The upper half of the product, rounded.
    uint64_t ranvier_multiply_high(uint64_t a, uint64_t b) noexcept nogil
    int ranvier_leading_zeros(uint64_t word) noexcept nogil

cdef extern from "<stdlib.h>" nogil:
    double strtod(const char *text, char **end)

cdef extern from "<stdio.h>" nogil:
    int snprintf(char *target, size_t size, const char *format, ...)

cdef extern from "<math.h>" nogil:
    double INFINITY
    bint isinf(double value)
    bint isnan(double value)

cdef enum:
    SHORT_TEXT_BYTES = 64        # a number up to this is copied on the stack
    EXACT_DIGITS = 15            # their number is below 2**53
    EXACT_POWER = 22             # 10**22 is the last power that a double holds exactly
    SIGNIFICAND_BITS = 52
    EXPONENT_BIAS = 1075         # of the significand taken as an integer
    FIRST_POWER = -348           # of ten, in POWERS; every eighth one up to 340
    POWER_COUNT = 87
    HIGHEST_EXPONENT = -32       # of a scaled number: its integral part has at most 32 bits
    LOWEST_EXPONENT = -60
    DIGITS = 18

cdef double[23] EXACT_POWERS
cdef uint64_t[87] POWERS         # significands of 64 bits
cdef int[87] POWER_EXPONENTS


cdef int fill_powers() except -1:
    """The significand and binary exponent of each power, rounded to nearest, by exact integers."""
    for i in range(EXACT_POWER + 1):
        EXACT_POWERS[i] = float(10**i)
    for i in range(POWER_COUNT):
        power = FIRST_POWER + 8 * i
        numerator, denominator = (10**power, 1) if power >= 0 else (1, 10**-power)
        exponent = numerator.bit_length() - denominator.bit_length() - 64
        while True:
            up, down = max(-exponent, 0), max(exponent, 0)
            significand = ((numerator << (up + 1)) // (denominator << down) + 1) >> 1
            if significand < 1 << 64:
                break
            exponent += 1
        if significand < 1 << 63:
            exponent -= 1
            up, down = max(-exponent, 0), max(exponent, 0)
            significand = ((numerator << (up + 1)) // (denominator << down) + 1) >> 1
        POWERS[i] = significand
        POWER_EXPONENTS[i] = exponent
    return 0


fill_powers()


# ---- reading --------------------------------------------------------------------------------------------------------

cdef struct Decimal:
    uint64_t digits              # the first EXACT_DIGITS significant ones
    int count                    # significant digits, leading zeros apart; counted up to EXACT_DIGITS + 1
    int64_t exponent             # of ten, for `digits` if they are all
    bint negative
    bint infinite


cdef inline bint is_word(const char *text, size_t length, const char *word, size_t word_length) noexcept nogil:
    cdef size_t i
    if length != word_length:
        return False
    for i in range(length):
        if (text[i] | 32) != word[i]:
            return False
    return True


cdef inline bint scan_exponent(const char *text, size_t length, int64_t *exponent) noexcept nogil:
    """The digits behind an e; far out they only need to stay far out."""
    cdef size_t i = 0
    cdef int64_t value = 0
    cdef bint negative = False
    if length and (text[0] == c'-' or text[0] == c'+'):
        negative = text[0] == c'-'
        i = 1
    if i == length:
        return False
    while i < length:
        if text[i] < c'0' or text[i] > c'9':
            return False
        if value < 1000000000:
            value = value * 10 + (text[i] - c'0')
        i += 1
    exponent[0] += -value if negative else value
    return True


cdef bint scan_decimal(const char *text, size_t length, Decimal *number) noexcept nogil:
    """[sign] digits [. digits] [e [sign] digits], with a digit before or behind the point; or an infinity."""
    cdef size_t i = 0
    cdef bint any_digit = False
    cdef bint fraction = False
    memset(number, 0, sizeof(Decimal))
    if length and (text[0] == c'-' or text[0] == c'+'):
        number.negative = text[0] == c'-'
        i = 1
    if is_word(text + i, length - i, b"inf", 3) or is_word(text + i, length - i, b"infinity", 8):
        number.infinite = True
        return True
    while i < length:
        if text[i] >= c'0' and text[i] <= c'9':
            any_digit = True
            if number.count or text[i] != c'0':
                if number.count < EXACT_DIGITS:
                    number.digits = number.digits * 10 + <uint64_t>(text[i] - c'0')
                if number.count <= EXACT_DIGITS:
                    number.count += 1
            if fraction:
                number.exponent -= 1
        elif text[i] == c'.' and not fraction:
            fraction = True
        elif (text[i] | 32) == c'e' and any_digit:
            return scan_exponent(text + i + 1, length - i - 1, &number.exponent)
        else:
            return False
        i += 1
    return any_digit


cdef double convert_long(const char *text, size_t length) noexcept nogil:
    """By strtod, which wants a terminated string; the text is a decimal."""
    cdef char[SHORT_TEXT_BYTES] short_text
    cdef char *copy = short_text
    cdef double value
    if length >= SHORT_TEXT_BYTES:
        copy = <char *>malloc(length + 1)
        if copy == NULL:
            return 0
    memcpy(copy, text, length)
    copy[length] = 0
    value = strtod(copy, NULL)
    if copy != short_text:
        free(copy)
    return value


cdef inline bint read_score(const char *text, size_t length, double *score, bint *inexact) noexcept nogil:
    """False: no number. `inexact`: it became infinite or 0 because it does not fit."""
    cdef Decimal number
    cdef double value
    inexact[0] = False
    if not scan_decimal(text, length, &number):
        return False
    if number.infinite:
        score[0] = -INFINITY if number.negative else INFINITY
        return True
    if number.count <= EXACT_DIGITS and -EXACT_POWER <= number.exponent <= EXACT_POWER:
        value = <double>number.digits
        if number.exponent < 0:
            value /= EXACT_POWERS[-number.exponent]
        else:
            value *= EXACT_POWERS[number.exponent]
        score[0] = -value if number.negative else value
        return True
    value = convert_long(text, length)
    inexact[0] = isinf(value) or (value == 0 and number.count > 0)
    score[0] = value
    return True


cdef bint parse_score(const char *text, size_t length, double *score) noexcept nogil:
    cdef bint inexact
    return read_score(text, length, score, &inexact) and not inexact


cdef bint parse_score_limit(const char *text, size_t length, double *score) noexcept nogil:
    cdef bint inexact
    cdef size_t used = 0
    while used < length and text[used] != 0:
        used += 1
    if used == 0:
        score[0] = 0
        return True
    return read_score(text, used, score, &inexact)


# ---- digits ---------------------------------------------------------------------------------------------------------

# significand * 2**exponent
cdef struct Scaled:
    uint64_t significand
    int exponent


cdef inline Scaled normalized(uint64_t significand, int exponent) noexcept nogil:
    cdef Scaled number
    cdef int shift = ranvier_leading_zeros(significand)
    number.significand = significand << shift
    number.exponent = exponent - shift
    return number


cdef inline int power_index(int exponent) noexcept nogil:
    """Of the power that brings a number with this exponent into the range in which digits are generated."""
    cdef int index = <int>((-(exponent + POWER_COUNT) * 0.30102999566398114 - FIRST_POWER) / 8)
    cdef int scaled
    while True:
        scaled = exponent + POWER_EXPONENTS[index] + 64
        if scaled < LOWEST_EXPONENT:
            index += 1
        elif scaled > HIGHEST_EXPONENT:
            index -= 1
        else:
            return index


cdef inline void round_down(char *last, uint64_t delta, uint64_t rest, uint64_t unit, uint64_t wanted) noexcept nogil:
    """Lower the last digit while that brings the number nearer to `wanted`, within the interval."""
    while rest < wanted and delta - rest >= unit \
            and (rest + unit < wanted or wanted - rest > rest + unit - wanted):
        last[0] -= 1
        rest += unit


cdef int generate_digits(char *digits, uint64_t wanted, uint64_t upper, uint64_t delta, int exponent,
                         int *power) noexcept nogil:
    """The shortest digits between upper - delta and upper, near upper - wanted; all scaled by 2**exponent."""
    cdef int shift = -exponent
    cdef uint64_t one = <uint64_t>1 << shift
    cdef uint64_t whole = upper >> shift
    cdef uint64_t part = upper & (one - 1)
    cdef uint64_t unit = 1000000000
    cdef uint64_t scale = 1
    cdef uint64_t digit
    cdef int count = 0
    cdef int places = 10
    while places > 0:
        digit = whole // unit
        whole -= digit * unit
        places -= 1
        if digit or count:
            digits[count] = <char>(c'0' + digit)
            count += 1
        if (whole << shift) + part <= delta:
            power[0] += places
            round_down(digits + count - 1, delta, (whole << shift) + part, unit << shift, wanted)
            return count
        unit //= 10
    while True:
        part *= 10
        delta *= 10
        scale *= 10
        places -= 1
        digit = part >> shift
        part &= one - 1
        if digit or count:
            digits[count] = <char>(c'0' + digit)
            count += 1
        if part < delta:
            power[0] += places
            round_down(digits + count - 1, delta, part, one, wanted * scale)
            return count


cdef int shortest_digits(char *digits, double value, int *power) noexcept nogil:
    """The digits of a positive finite number, which is digits * 10**power; at most 17."""
    cdef uint64_t bits
    cdef uint64_t significand
    cdef int exponent
    cdef int index
    cdef Scaled number
    cdef Scaled upper
    cdef uint64_t lower
    cdef uint64_t factor
    memcpy(&bits, &value, 8)
    significand = bits & ((<uint64_t>1 << SIGNIFICAND_BITS) - 1)
    exponent = <int>(bits >> SIGNIFICAND_BITS) & 2047
    if exponent:
        significand |= <uint64_t>1 << SIGNIFICAND_BITS
    else:
        exponent = 1
    exponent -= EXPONENT_BIAS
    # The number's neighbours are half a unit away; below a power of two, a quarter.
    upper = normalized(2 * significand + 1, exponent - 1)
    if significand == <uint64_t>1 << SIGNIFICAND_BITS:
        lower = (4 * significand - 1) << (exponent - 2 - upper.exponent)
    else:
        lower = (2 * significand - 1) << (exponent - 1 - upper.exponent)
    number = normalized(significand, exponent)
    index = power_index(upper.exponent)
    factor = POWERS[index]
    number.significand = ranvier_multiply_high(number.significand, factor)
    upper.significand = ranvier_multiply_high(upper.significand, factor) - 1
    lower = ranvier_multiply_high(lower, factor) + 1
    power[0] = -(FIRST_POWER + 8 * index)
    return generate_digits(digits, upper.significand - number.significand, upper.significand,
                           upper.significand - lower, upper.exponent + POWER_EXPONENTS[index] + 64, power)


# ---- printing -------------------------------------------------------------------------------------------------------

cdef size_t print_digits(char *target, const char *digits, int count, int power) noexcept nogil:
    """Plainly when that takes few zeros, else with an exponent."""
    cdef int exponent = power + count - 1
    cdef int distance = exponent if exponent >= 0 else -exponent
    cdef int point = count + power           # digits before the point
    cdef size_t length
    if power >= 0 and distance < count + 7:
        memcpy(target, digits, <size_t>count)
        memset(target + count, c'0', <size_t>power)
        return <size_t>(count + power)
    if power < 0 and (power > -7 or distance < 4):
        if point <= 0:
            target[0] = c'0'
            target[1] = c'.'
            memset(target + 2, c'0', <size_t>-point)
            memcpy(target + 2 - point, digits, <size_t>count)
            return <size_t>(2 - point + count)
        memcpy(target, digits, <size_t>point)
        target[point] = c'.'
        memcpy(target + point + 1, digits + point, <size_t>(count - point))
        return <size_t>(count + 1)
    target[0] = digits[0]
    length = 1
    if count > 1:
        target[1] = c'.'
        memcpy(target + 2, digits + 1, <size_t>(count - 1))
        length = <size_t>(count + 1)
    target[length] = c'e'
    target[length + 1] = c'-' if exponent < 0 else c'+'
    return length + 2 + print_integer(target + length + 2, distance)


cdef inline size_t print_special(char *target, double score) noexcept nogil:
    """Zeros, integers, infinities and NaN; 0 for any other number."""
    cdef double limit = 4611686018427387904.0            # 2**62
    cdef uint64_t bits
    if isnan(score):
        memcpy(target, b"nan", 3)
        return 3
    if score == 0:
        memcpy(&bits, &score, 8)
        memcpy(target, b"-0" if bits else b"0 ", 2)
        return 2 if bits else 1
    if -limit <= score <= limit:
        if <double><int64_t>score == score:
            return print_integer(target, <int64_t>score)
        return 0
    if isinf(score):
        memcpy(target, b"inf" if score > 0 else b"-inf", 3 if score > 0 else 4)
        return 3 if score > 0 else 4
    return 0


cdef size_t print_score(char *target, double score) noexcept nogil:
    cdef char[DIGITS] digits
    cdef int power = 0
    cdef int count
    cdef size_t length = print_special(target, score)
    if length:
        return length
    if score < 0:
        target[0] = c'-'
        length = 1
        score = -score
    count = shortest_digits(digits, score, &power)
    return length + print_digits(target + length, digits, count, power)


cdef size_t print_score_plainly(char *target, double score) noexcept nogil:
    return <size_t>snprintf(target, SCORE_TEXT_BYTES, b"%.17g", score)
