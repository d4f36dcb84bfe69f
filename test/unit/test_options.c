/* Tests of options.h: defaults, bounds, and which source outranks which. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "options_table.h"

static void defaults_are_set(void **state)
{
    struct fixture *f = *state;
    check_defaults(&f->values);
    for (size_t i = 0; i < table.count; i++)
        assert_false(options_was_given(&table, &f->state, specs[i].name));
    assert_false(options_was_given(&table, &f->state, "unheard-of"));
    assert_ptr_equal(options_find(&table, "window"), &specs[3]);
    assert_null(options_find(&table, "windo"));
}

static void a_bad_default_is_found(void **state)
{
    struct fixture *f = *state;
    static const struct option_spec bad[] = {
        {.name = "text", .type = OPTION_STRING, FIELD(user), .default_text = "kept", .help = "Text."},
        {.name = "number", .type = OPTION_COUNT, FIELD(workers), .min = 1, .max = 2, .default_text = "3", .help = "N."},
    };
    static const struct option_table bad_table = {.specs = bad, .count = 2, .program = "program"};
    struct values values;
    struct option_state given;
    assert_int_equal(options_init(&bad_table, &values, &given, &f->error), -1);
    assert_string_equal(f->error.text, "built-in default: number: '3' is out of range (allowed: 1 to 2)");
    options_free(&bad_table, &values, &given);
}

static void bools_are_read(void **state)
{
    struct fixture *f = *state;
    static const char *const yes[] = {"yes", "true", "on", "1"};
    static const char *const no[] = {"no", "false", "off", "0"};
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(options_set(&table, &f->values, &f->state, "here", "verbose", yes[i], &f->error), 0);
        assert_true(f->values.verbose);
        assert_int_equal(options_set(&table, &f->values, &f->state, "here", "verbose", no[i], &f->error), 0);
        assert_false(f->values.verbose);
    }
    assert_int_equal(options_set(&table, &f->values, &f->state, "here", "verbose", "maybe", &f->error), -1);
    assert_string_equal(f->error.text, "here: verbose: 'maybe' is neither yes nor no (allowed: yes or no)");
}

static void bounds_are_kept(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *key;
        const char *text;
        const char *error; /* NULL: good */
    } cases[] = {
        {"workers", "1", NULL},
        {"workers", "64", NULL},
        {"workers", "0", "'0' is out of range (allowed: 1 to 64)"},
        {"workers", "65", "'65' is out of range (allowed: 1 to 64)"},
        {"workers", "off", "'off' is out of range (allowed: 1 to 64)"},
        {"workers", "-1", "'-1' is not a count (allowed: 1 to 64)"},
        {"workers", "", "'' is not a count (allowed: 1 to 64)"},
        {"window", "1K", NULL},
        {"window", "1M", NULL},
        {"window", "1023", "'1023' is out of range (allowed: 1K to 1M)"},
        {"window", "1048577", "'1048577' is out of range (allowed: 1K to 1M)"},
        {"window", "big", "'big' is not a size (allowed: 1K to 1M)"},
        {"idle-timeout", "1s", NULL},
        {"idle-timeout", "1h", NULL},
        {"idle-timeout", "off", NULL},
        {"idle-timeout", "0", NULL},
        {"idle-timeout", "999ms", "'999ms' is out of range (allowed: 1s to 1h, or off)"},
        {"idle-timeout", "61m", "'61m' is out of range (allowed: 1s to 1h, or off)"},
        {"idle-timeout", "30x", "'30x' is not a duration (allowed: 1s to 1h, or off)"},
        {"plain", "18446744073709551615", NULL},
        {"plain", "x", "'x' is not a count (allowed: a number such as 500 or 10k)"},
        {"at-least", "10G", NULL},
        {"at-least", "9", "'9' is out of range (allowed: 10 or more)"},
        {"log-format", "kv", NULL},
        {"log-format", "xml", "'xml' is not a choice (allowed: kv, json or none)"},
        {"auth", "publickey", NULL},
        {"auth", "password, none", NULL},
        {"auth", " ,none,", NULL},
        {"auth", "none,passwort", "'passwort' is none of the words (allowed: none, password or publickey)"},
        {"worker", "1", "no such option, did you mean workers?"},
        {"zzzzzz", "1", "no such option"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char expected[512];
        int rc = options_set(&table, &f->values, &f->state, "here", cases[i].key, cases[i].text, &f->error);
        if (!cases[i].error && rc != 0)
            fail_msg("%s", f->error.text);
        if (!cases[i].error)
            continue;
        assert_int_equal(rc, -1);
        (void)snprintf(expected, sizeof expected, "here: %s: %s", cases[i].key, cases[i].error);
        assert_string_equal(f->error.text, expected);
    }
    assert_int_equal(f->values.workers, 64); /* a refused value changes nothing */
}

static void values_can_be_unset(void **state)
{
    struct fixture *f = *state;
    PARSE(f, "-o", "user=me", "-o", "tags=x");
    PARSE(f, "-o", "user=", "-o", "tags=", "-o", "greeting=", "-o", "listen=");
    assert_null(f->values.user);
    assert_int_equal(f->values.tags.count, 0);
    assert_string_equal(f->values.greeting, ""); /* never NULL where the default is not */
    assert_int_equal(f->values.listen.count, 0);
    fresh(f);
    load(f, "listen \"\"\nuser = \"\"\n");
    assert_int_equal(f->values.listen.count, 0);
    assert_true(options_was_given(&table, &f->state, "listen"));
    assert_null(f->values.user);
}

static void long_texts_leave_one_short_line(void **state)
{
    struct fixture *f = *state;
    char longest[5000] = "--";
    (void)memset(longest + 2, 'a', sizeof longest - 3);
    longest[sizeof longest - 1] = '\0';
    assert_int_equal(parse(f, (const char *const[]){longest, NULL}), -1);
    assert_true(strlen(f->error.text) < sizeof f->error.text);
    assert_int_equal(parse(f, (const char *const[]){"-o", longest, NULL}), -1);
    assert_int_equal(parse(f, (const char *const[]){"-w", longest, NULL}), -1);
    (void)memcpy(longest, "workers=", 8);
    assert_int_equal(parse(f, (const char *const[]){"-o", longest, NULL}), -1);
    assert_non_null(strstr(f->error.text, "(allowed: 1 to 64)"));
    (void)memcpy(longest, "user = a", 8);
    load(f, longest);
    assert_int_equal(strlen(f->values.user), sizeof longest - 8);
}

static void the_command_line_outranks_the_file(void **state)
{
    struct fixture *f = *state;
    for (int file_first = 0; file_first < 2; file_first++) {
        fresh(f);
        if (file_first)
            load(f, "workers = 8\nlisten a\nlisten b\nverbose = yes\nuser = file\n");
        PARSE(f, "-w", "2", "-l", "c", "-o", "listen=d", "--no-verbose");
        if (!file_first)
            load(f, "workers = 8\nlisten a\nlisten b\nverbose = yes\nuser = file\n");
        assert_int_equal(f->values.workers, 2);
        CHECK_LIST(&f->values.listen, "c", "d");
        assert_false(f->values.verbose);
        assert_string_equal(f->values.user, "file");
    }
    /* What is outranked is checked all the same. */
    assert_int_equal(load_bytes(f, "workers = 500\n", 14), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_TABLE(defaults_are_set),
        WITH_TABLE(a_bad_default_is_found),
        WITH_TABLE(bools_are_read),
        WITH_TABLE(bounds_are_kept),
        WITH_TABLE(values_can_be_unset),
        WITH_TABLE(long_texts_leave_one_short_line),
        WITH_TABLE(the_command_line_outranks_the_file),
    };
    return cmocka_run_group_tests_name("options", tests, NULL, NULL);
}
