/* The search of `sshload find`, against servers that are a line of arithmetic. */
#include "load/campaign/search.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

/* Runs the search against a server that carries `capacity`; try number `hiccup` fails whatever it is, try `fluke`
 * passes. Returns how many steps it took. */
static unsigned search_for(struct search *search, uint64_t capacity, unsigned hiccup, unsigned fluke)
{
    uint64_t level = 0;
    enum search_purpose purpose;
    unsigned steps = 0;
    while (search_next(search, &level, &purpose)) {
        assert_true(level > 0 && level <= search->to);
        steps++;
        search_note(search, level, steps == fluke || (steps != hiccup && level <= capacity),
                    level < capacity ? level : capacity);
        assert_true(steps < 200);
    }
    return steps;
}

static void test_finds_any_capacity(void **state)
{
    (void)state;
    static const uint64_t capacities[] = {1, 2, 3, 9, 10, 11, 99, 100, 101, 777, 12345, 999999};
    static const uint64_t starts[] = {1, 10, 100, 5000};
    for (size_t i = 0; i < sizeof capacities / sizeof capacities[0]; i++) {
        for (size_t j = 0; j < sizeof starts / sizeof starts[0]; j++) {
            struct search search;
            search_init(&search, starts[j], 1000000, 0.05);
            unsigned steps = search_for(&search, capacities[i], 0, 0);
            uint64_t low = search_low(&search);
            assert_true(low <= capacities[i] && search_high(&search) > capacities[i]);
            assert_true(search_high(&search) == low + 1 || (double)search_high(&search) <= (double)low * 1.05);
            assert_true(search_is_confirmed(&search));
            assert_true(steps <= 20 + 8);
        }
    }
}

static void test_the_ends(void **state)
{
    (void)state;
    struct search search;
    search_init(&search, 100, 1000, 0.05);
    (void)search_for(&search, 5000, 0, 0); /* more than may be tried */
    assert_int_equal(search_low(&search), 1000);
    assert_int_equal(search_high(&search), 0);
    assert_true(search_is_confirmed(&search));
    search_init(&search, 100, 1000, 0.05);
    (void)search_for(&search, 0, 0, 0); /* nothing at all */
    assert_int_equal(search_low(&search), 0);
    assert_false(search_is_confirmed(&search));
    search_init(&search, 100, 50, 0.05);
    assert_int_equal(search.from, 50);
}

/* One try in all that goes wrong, or right, for no reason: the answer is the same. */
static void test_one_hiccup_changes_nothing(void **state)
{
    (void)state;
    for (unsigned at = 1; at < 14; at++) {
        struct search search;
        search_init(&search, 100, 1000000, 0.05);
        (void)search_for(&search, 777, at, 0);
        assert_in_range(search_low(&search), 777 / 1.05, 777);
        assert_true(search_is_confirmed(&search));
    }
}

static void test_one_fluke_is_taken_back(void **state)
{
    (void)state;
    for (unsigned at = 1; at < 14; at++) {
        struct search search;
        search_init(&search, 100, 1000000, 0.05);
        (void)search_for(&search, 777, 0, at);
        assert_in_range(search_low(&search), 777 / 1.05, 777);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_finds_any_capacity),
        cmocka_unit_test(test_the_ends),
        cmocka_unit_test(test_one_hiccup_changes_nothing),
        cmocka_unit_test(test_one_fluke_is_taken_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
