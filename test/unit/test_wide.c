/* Numbers of 128 bits in two halves, as machines have them whose compiler has no such type; against the one that has.
 */
#define WIDE_PORTABLE
#include "sshecho/wide.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* The edges: of a half, of 32 bits, of what is multiplied in plan/rate.c. */
static const uint64_t numbers[] = {0,
                                   1,
                                   2,
                                   3,
                                   10,
                                   UINT64_C(2000000),
                                   UINT64_C(100000000),
                                   UINT32_MAX - 1,
                                   UINT32_MAX,
                                   UINT64_C(1) << 32,
                                   (UINT64_C(1) << 32) + 1,
                                   UINT64_C(2592000000000),
                                   UINT64_C(1000000000000000000),
                                   UINT64_C(0x7fffffffffffffff),
                                   UINT64_C(1) << 63,
                                   (UINT64_C(1) << 63) + 1,
                                   UINT64_C(0xfedcba9876543210),
                                   UINT64_MAX - 1,
                                   UINT64_MAX};
#define NUMBERS (sizeof numbers / sizeof numbers[0])

static void assert_wide(wide a, uint64_t high, uint64_t low)
{
    assert_int_equal(a.high, high);
    assert_int_equal(a.low, low);
}

/* What needs no other arithmetic to be known. */
static void test_known_answers(void **state)
{
    (void)state;
    uint64_t rest = 1;
    assert_wide(wide_times(UINT64_MAX, UINT64_MAX), UINT64_MAX - 1, 1);
    assert_wide(wide_times(UINT64_C(1) << 63, 2), 1, 0);
    assert_wide(wide_plus(wide_of(UINT64_MAX), wide_of(1)), 1, 0);
    assert_wide(wide_minus((wide){.high = 1}, wide_of(1)), 0, UINT64_MAX);
    assert_wide(wide_scaled((wide){.high = 1, .low = UINT64_MAX}, 2), 3, UINT64_MAX - 1);
    assert_wide(wide_divided((wide){.high = UINT64_MAX - 1, .low = 1}, UINT64_MAX, &rest), 0, UINT64_MAX);
    assert_int_equal(rest, 0);
    assert_wide(wide_divided((wide){.high = 1}, 3, &rest), 0, UINT64_C(0x5555555555555555));
    assert_int_equal(rest, 1);
    assert_wide(wide_divided((wide){.high = 7, .low = 5}, 1, NULL), 7, 5);
    assert_true(wide_fits_64(wide_of(UINT64_MAX)));
    assert_false(wide_fits_64((wide){.high = 1}));
    assert_true(wide_less(wide_of(UINT64_MAX), (wide){.high = 1}));
    assert_false(wide_less((wide){.high = 1}, wide_of(UINT64_MAX)));
    assert_false(wide_less(wide_of(5), wide_of(5)));
}

/* What is divided and multiplied again is what it was: on machines without the other type as well. */
static void test_division_is_the_inverse(void **state)
{
    (void)state;
    for (size_t i = 0; i < NUMBERS; i++) {
        for (size_t k = 0; k < NUMBERS; k++) {
            for (size_t d = 1; d < NUMBERS; d++) {
                wide a = {.high = numbers[i], .low = numbers[k]};
                uint64_t rest;
                wide quotient = wide_divided(a, numbers[d], &rest);
                wide back = wide_plus(wide_scaled(quotient, numbers[d]), wide_of(rest));
                assert_true(rest < numbers[d]);
                assert_wide(back, a.high, a.low);
            }
        }
    }
}

#ifdef __SIZEOF_INT128__

__extension__ typedef unsigned __int128 compilers;

static void assert_same(wide a, compilers b)
{
    assert_wide(a, (uint64_t)(b >> 64), (uint64_t)b);
}

static void check_pair(uint64_t a_high, uint64_t a_low, uint64_t b_high, uint64_t b_low)
{
    wide a = {.high = a_high, .low = a_low};
    wide b = {.high = b_high, .low = b_low};
    compilers x = (compilers)a_high << 64 | a_low;
    compilers y = (compilers)b_high << 64 | b_low;
    assert_same(wide_plus(a, b), x + y);
    assert_same(wide_minus(a, b), x - y);
    assert_same(wide_times(a_low, b_low), (compilers)a_low * b_low);
    assert_same(wide_scaled(a, b_low), x * b_low);
    assert_int_equal(wide_less(a, b), x < y);
    if (b_low != 0) {
        uint64_t rest;
        assert_same(wide_divided(a, b_low, &rest), x / b_low);
        assert_int_equal(rest, (uint64_t)(x % b_low));
    }
}

static void test_as_the_compiler_does_it(void **state)
{
    (void)state;
    for (size_t i = 0; i < NUMBERS; i++) {
        for (size_t k = 0; k < NUMBERS; k++) {
            for (size_t m = 0; m < NUMBERS; m++) {
                for (size_t n = 0; n < NUMBERS; n++) {
                    check_pair(numbers[i], numbers[k], numbers[m], numbers[n]);
                }
            }
        }
    }
}

/* Numbers of every length, from a generator that is the same everywhere. */
static void test_any_numbers(void **state)
{
    (void)state;
    uint64_t seed = 20261128;
    uint64_t drawn[4];
    for (int i = 0; i < 200000; i++) {
        for (size_t k = 0; k < 4; k++) {
            seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
            uint64_t bits = seed >> 58;
            seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
            drawn[k] = (seed ^ seed >> 29) >> bits;
        }
        check_pair(drawn[0], drawn[1], drawn[2], drawn[3]);
    }
}

#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_answers),
        cmocka_unit_test(test_division_is_the_inverse),
#ifdef __SIZEOF_INT128__
        cmocka_unit_test(test_as_the_compiler_does_it),
        cmocka_unit_test(test_any_numbers),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
