/*
 * wide.h - room: whole numbers of 128 bits, without a sign.
 *
 * A product of two 64-bit numbers, exactly: so that rates, times and units are computed without rounding. Compilers
 * have such a type on 64-bit machines; for the others there are two halves and what is learnt at school. Which of the
 * two it is cannot be told from outside. Nothing overflows where the callers' bounds hold; what does is cut off. Pure.
 */
#ifndef SSHECHO_WIDE_H
#define SSHECHO_WIDE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* WIDE_PORTABLE: the unit test compares the halves with the compiler's type. */
#if defined __SIZEOF_INT128__ && !defined WIDE_PORTABLE

__extension__ typedef unsigned __int128 wide;

static inline wide wide_of(uint64_t number)
{
    return number;
}

/* The lower 64 bits. */
static inline uint64_t wide_low(wide a)
{
    return (uint64_t)a;
}

static inline bool wide_fits_64(wide a)
{
    return a <= UINT64_MAX;
}

static inline bool wide_less(wide a, wide b)
{
    return a < b;
}

static inline wide wide_plus(wide a, wide b)
{
    return a + b;
}

/* b <= a */
static inline wide wide_minus(wide a, wide b)
{
    return a - b;
}

static inline wide wide_times(uint64_t a, uint64_t b)
{
    return (wide)a * b;
}

static inline wide wide_scaled(wide a, uint64_t factor)
{
    return a * factor;
}

/* Rounded down; *rest is what is left, where it is not NULL. divisor > 0. */
static inline wide wide_divided(wide a, uint64_t divisor, uint64_t *rest)
{
    if (rest != NULL) {
        *rest = (uint64_t)(a % divisor);
    }
    return a / divisor;
}

#else

typedef struct wide {
    uint64_t high, low;
} wide;

static inline wide wide_of(uint64_t number)
{
    return (wide){.low = number};
}

static inline uint64_t wide_low(wide a)
{
    return a.low;
}

static inline bool wide_fits_64(wide a)
{
    return a.high == 0;
}

static inline bool wide_less(wide a, wide b)
{
    return a.high < b.high || (a.high == b.high && a.low < b.low);
}

static inline wide wide_plus(wide a, wide b)
{
    wide sum = {.high = a.high + b.high, .low = a.low + b.low};
    sum.high += sum.low < a.low; /* the carry */
    return sum;
}

static inline wide wide_minus(wide a, wide b)
{
    return (wide){.high = a.high - b.high - (a.low < b.low), .low = a.low - b.low};
}

/* Halves of 32 bits: none of the sums below can carry. */
static inline wide wide_times(uint64_t a, uint64_t b)
{
    uint64_t a_high = a >> 32, a_low = a & UINT32_MAX;
    uint64_t b_high = b >> 32, b_low = b & UINT32_MAX;
    uint64_t low = a_low * b_low;
    uint64_t middle = a_high * b_low + (low >> 32);
    uint64_t other_middle = a_low * b_high + (middle & UINT32_MAX);
    return (wide){.high = a_high * b_high + (middle >> 32) + (other_middle >> 32),
                  .low = other_middle << 32 | (low & UINT32_MAX)};
}

static inline wide wide_scaled(wide a, uint64_t factor)
{
    wide product = wide_times(a.low, factor);
    product.high += a.high * factor;
    return product;
}

static inline wide wide_divided(wide a, uint64_t divisor, uint64_t *rest)
{
    wide quotient = {.high = a.high / divisor};
    uint64_t left = a.high % divisor;
    if (divisor <= UINT32_MAX) { /* 32 bits at a time */
        uint64_t upper = left << 32 | a.low >> 32;
        uint64_t lower = (upper % divisor) << 32 | (a.low & UINT32_MAX);
        quotient.low = (upper / divisor) << 32 | lower / divisor;
        left = lower % divisor;
    } else { /* bit by bit */
        for (int bit = 63; bit >= 0; bit--) {
            bool carry = left >> 63 != 0;
            left = left << 1 | (a.low >> bit & 1);
            if (carry || left >= divisor) {
                left -= divisor;
                quotient.low |= UINT64_C(1) << bit;
            }
        }
    }
    if (rest != NULL) {
        *rest = left;
    }
    return quotient;
}

#endif

#endif
