/* Tests of options.h: the command line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "options_table.h"

static void the_command_line_sets_every_type(void **state)
{
    struct fixture *f = *state;
    PARSE(f, "--verbose", "--no-reuse", "--workers", "8", "--window=256K", "-t", "30s", "--user=a=b", "--listen", "x",
          "--log-format=kv", "--check", "-fpath");
    assert_true(f->values.verbose);
    assert_false(f->values.reuse);
    assert_int_equal(f->values.workers, 8);
    assert_int_equal(f->values.window_bytes, 262144);
    assert_int_equal(f->values.idle_us, 30000000);
    assert_string_equal(f->values.user, "a=b");
    CHECK_LIST(&f->values.listen, "x");
    assert_int_equal(f->values.format, 0);
    assert_true(f->values.check);
    assert_string_equal(f->values.config, "path");
    assert_int_equal(f->rest.count, 0);
    PARSE(f, "--verbose=no", "--reuse=yes");
    assert_false(f->values.verbose);
    assert_true(f->values.reuse);
}

static void short_letters(void **state)
{
    struct fixture *f = *state;
    PARSE(f, "--no-reuse", "-vrw8", "-la", "-l", "b");
    assert_true(f->values.verbose);
    assert_true(f->values.reuse);
    assert_int_equal(f->values.workers, 8);
    CHECK_LIST(&f->values.listen, "a", "b");
    PARSE(f, "-oworkers=9", "-vo", "window=2K", "-o", " idle-timeout = 5s");
    assert_int_equal(f->values.workers, 9);
    assert_int_equal(f->values.window_bytes, 2048);
    assert_int_equal(f->values.idle_us, 5000000);
}

static void positional_arguments_are_handed_on(void **state)
{
    struct fixture *f = *state;
    PARSE(f, "host", "-v", "-", "--workers", "2", "--", "--reuse", "-w");
    CHECK_LIST(&f->rest, "host", "-", "--reuse", "-w");
    assert_int_equal(f->values.workers, 2);
    free(f->rest.items);
    f->rest.items = NULL;
    assert_int_equal(options_parse_arguments(&table, &f->values, &f->state, 0, NULL, &f->rest, &f->error), 0);
    assert_int_equal(f->rest.count, 0);
}

static void bad_command_lines_are_refused(void **state)
{
    struct fixture *f = *state;
    PARSE_FAILS(f, "--wrkers: no such option, did you mean --workers?", "--wrkers=5");
    PARSE_FAILS(f, "--frobnicate: no such option, see --help", "--frobnicate");
    PARSE_FAILS(f, "-z: no such option, see --help", "-vz");
    PARSE_FAILS(f, "--workers: needs a value (N)", "-v", "--workers");
    PARSE_FAILS(f, "-w: needs a value (N)", "-w");
    PARSE_FAILS(f, "-o: needs a value (KEY=VALUE)", "-o");
    PARSE_FAILS(f, "-o: 'workers' is not KEY=VALUE", "-o", "workers");
    PARSE_FAILS(f, "-o: '=5' is not KEY=VALUE", "-o", "=5");
    PARSE_FAILS(f, "wrkers: no such option, did you mean workers?", "-o", "wrkers=5");
    PARSE_FAILS(f, "check: not a configuration key, write --check", "-o", "check=yes");
    PARSE_FAILS(f, "--no-workers: only a yes/no option can be negated", "--no-workers");
    PARSE_FAILS(f, "no-reuse: takes no value", "--no-reuse=yes");
    PARSE_FAILS(f, "workers: '500' is out of range (allowed: 1 to 64)", "--workers", "500");
    PARSE_FAILS(f, "workers: 'a?b?' is not a count (allowed: 1 to 64)", "-wa\nb\x1b");
    PARSE_FAILS(f, "verbose: 'x' is neither yes nor no (allowed: yes or no)", "--verbose=x");
    PARSE_FAILS(f, "--no-: no such option, see --help", "--no-");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_TABLE(the_command_line_sets_every_type),
        WITH_TABLE(short_letters),
        WITH_TABLE(positional_arguments_are_handed_on),
        WITH_TABLE(bad_command_lines_are_refused),
    };
    return cmocka_run_group_tests_name("options_arguments", tests, NULL, NULL);
}
