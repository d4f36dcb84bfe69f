/* Several programs at once: what ends one that does not end by itself, and who looks on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <unistd.h>

#include "load/campaign/children.h"
#include "sshecho/clock.h"

#define LONG_US INT64_C(20000000) /* nothing here takes so long but what hangs */

static unsigned looks;

static void look(void *data)
{
    (*(unsigned *)data)++;
}

static struct child_run shell(char *script, int output)
{
    static char *words[4][4];
    static size_t next;
    char **own = words[next++ % 4];
    own[0] = "sh";
    own[1] = "-c";
    own[2] = script;
    return (struct child_run){
        .words = own, .count = 4, .foreign = true, .output = output, .complaints = output, .input = -1};
}

static int64_t run(struct child_run *children, size_t count, struct children_limits limits)
{
    int64_t before_us = wall_us();
    limits.deadline_us += limits.deadline_us != 0 ? before_us : 0;
    assert_int_equal(children_run(children, count, &limits), 0);
    return wall_us() - before_us;
}

static void test_one_that_stays_is_told_and_killed(void **state)
{
    int output = open("/dev/null", O_WRONLY);
    struct child_run children[] = {shell("trap '' TERM; exec sleep 1000", output), shell("cat; exit 3", output)};
    (void)state;
    looks = 0;
    int64_t took_us =
        run(children, 2,
            (struct children_limits){
                .deadline_us = 200000, .grace_us = 200000, .look_every_us = 20000, .look = look, .data = &looks});
    assert_in_range(took_us, 400000, LONG_US);
    assert_int_equal(children[0].code, -1);
    assert_int_equal(children[1].code, 3); /* the end of its input was enough */
    assert_in_range(looks, 2, 25);
    (void)close(output);
}

static void test_one_that_does_not_begin_ends_the_others(void **state)
{
    int output = open("/dev/null", O_WRONLY);
    struct child_run children[] = {shell("exec cat", output), shell("exit 2", output)};
    (void)state;
    assert_in_range(run(children, 2, (struct children_limits){0}), 0, LONG_US);
    assert_int_equal(children[0].code, 0);
    assert_int_equal(children[1].code, 2);
    (void)close(output);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_that_stays_is_told_and_killed),
        cmocka_unit_test(test_one_that_does_not_begin_ends_the_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
