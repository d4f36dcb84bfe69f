/* slots: the cap on handshakes under way. Nobody waits beside a free slot. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "load/drive/slots.h"

enum { GIVER, QUICK, WAITING, THREADS };

static unsigned told, tellings;

static void on_free(unsigned thread, void *data)
{
    (void)data;
    told = thread;
    tellings++;
}

static void test_who_asked_in_vain_is_told(void **state)
{
    (void)state;
    struct slots slots;
    tellings = 0;
    assert_int_equal(slots_init(&slots, 1, THREADS, on_free, NULL), 0);
    assert_true(slots_take(&slots, GIVER));
    assert_false(slots_take(&slots, WAITING));
    slots_give(&slots, GIVER);
    assert_int_equal(tellings, 1);
    assert_int_equal(told, WAITING);
    assert_true(slots_take(&slots, WAITING));
    slots_give(&slots, WAITING);
    assert_int_equal(tellings, 1); /* each is told once */
    slots_destroy(&slots);
}

/* One asks in vain, gets its slot on a second try, and is told later, when it wants no more. */
static void test_what_is_not_wanted_is_passed_on(void **state)
{
    (void)state;
    struct slots slots;
    tellings = 0;
    assert_int_equal(slots_init(&slots, 2, THREADS, on_free, NULL), 0);
    assert_true(slots_take(&slots, GIVER));
    assert_true(slots_take(&slots, GIVER));
    assert_false(slots_take(&slots, QUICK));
    assert_false(slots_take(&slots, WAITING));
    slots_give(&slots, GIVER);
    assert_int_equal(told, QUICK);
    assert_true(slots_take(&slots, WAITING)); /* it comes first, and its wish still stands */
    assert_false(slots_take(&slots, QUICK));
    slots_give(&slots, GIVER);
    assert_int_equal(told, QUICK);
    slots_give(&slots, WAITING); /* finished; it is told of its own slot, and wants none */
    assert_int_equal(told, WAITING);
    assert_true(slots_take(&slots, QUICK));
    assert_true(slots_take(&slots, QUICK));
    assert_false(slots_take(&slots, QUICK));
    assert_false(slots_take(&slots, WAITING));
    tellings = 0;
    slots_give(&slots, QUICK);
    assert_int_equal(told, WAITING);
    slots_told(&slots, WAITING); /* it wants none any more */
    assert_int_equal(tellings, 2);
    assert_int_equal(told, QUICK);
    slots_told(&slots, QUICK);
    assert_int_equal(tellings, 2); /* there it ends */
    slots_destroy(&slots);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_who_asked_in_vain_is_told),
        cmocka_unit_test(test_what_is_not_wanted_is_passed_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
