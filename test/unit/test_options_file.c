/* Tests of options.h: what a configuration file may hold. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "options_table.h"

static void a_file_sets_every_type(void **state)
{
    struct fixture *f = *state;
    load(f, "# a comment\n"
            "verbose on # why\n"
            "\treuse=false\t#because\n"
            "workers = 8\n"
            "window   256K  \r\n"
            "idle-timeout 30s\n"
            "plain 12M\n"
            "at-least 10\n"
            "user 'single $HOME \\'quoted\\''\n"
            "greeting \"line\\x0abreak # no comment\" # a comment\r\n"
            "password hunter2#\n"
            "\n"
            "listen 0.0.0.0:22\n"
            "listen [::1]:22\n"
            "tags a=b\n"
            "tags b,c\n"
            "tags = d e\n"
            "log-format none");
    const struct values *v = &f->values;
    assert_true(v->verbose);
    assert_false(v->reuse);
    assert_int_equal(v->workers, 8);
    assert_int_equal(v->window_bytes, 262144);
    assert_int_equal(v->idle_us, 30000000);
    assert_int_equal(v->plain, 12000000);
    assert_int_equal(v->at_least, 10);
    assert_string_equal(v->user, "single $HOME 'quoted'");
    assert_string_equal(v->greeting, "line\nbreak # no comment");
    assert_string_equal(v->password, "hunter2#");
    CHECK_LIST(&v->listen, "0.0.0.0:22", "[::1]:22");
    CHECK_LIST(&v->tags, "a=b", "b,c", "d e");
    assert_int_equal(v->format, 2);
    assert_true(options_was_given(&table, &f->state, "workers"));
    assert_false(options_was_given(&table, &f->state, "check"));
}

/* A '#' inside a word is part of it, and slashes mean nothing. */
static void words_may_hold_what_begins_comments(void **state)
{
    struct fixture *f = *state;
    load(f, "user ssh://host//path#part\ntags a//b,c# \n");
    assert_string_equal(f->values.user, "ssh://host//path#part");
    CHECK_LIST(&f->values.tags, "a//b,c#");
}

static void file_errors_name_line_and_key(void **state)
{
    struct fixture *f = *state;
    load_fails(f, "workers = 500", ":1: workers: '500' is out of range (allowed: 1 to 64)");
    load_fails(f, "# one\n\n  # three\nverbose yes\nworkers 500\n",
               ":5: workers: '500' is out of range (allowed: 1 to 64)");
    load_fails(f, "listen a\nlisten b\nlog-format xml",
               ":3: log-format: 'xml' is not a choice (allowed: kv, json or none)");
    load_fails(f, "verbose = yes\nwrkers = 3\n", ":2: wrkers: no such option, did you mean workers?");
    load_fails(f, "\n\nfrobnicate = 3\n", ":3: frobnicate: no such option");
    load_fails(f, "workers = 3\nverbose = yes\nworkers = 4\n", ":3: workers: given twice, first on line 1");
    load_fails(f, "check yes\n", ":1: check: belongs on the command line, as --check");
    load_fails(f, "\nuser \"abc\nworkers 2\n", ":2: user: the quoted value does not end with the line");
    load_fails(f, "user 'abc\\'\n", ":1: user: the quoted value does not end with the line");
    load_fails(f, "user \"abc\\", ":1: user: the quoted value does not end with the line");
    load_fails(f, "user \"a\" b\n", ":1: user: the quoted value does not end with the line");
    load_fails(f, "user \"a\\x00b\"\n", ":1: user: the quoted value does not end with the line");
    load_fails(f, "workers", ":1: workers: needs a value (\"\" for none)");
    load_fails(f, "workers = # none\n", ":1: workers: needs a value (\"\" for none)");
    load_fails(f, "= 5", ":1: a line begins with a key");
    load_fails(f, "auth none\nauth password,all\n",
               ":2: auth: 'all' is none of the words (allowed: none, password or publickey)");
    load_fails(f, "password = x\npassword = y", ":2: password: given twice, first on line 1");
}

/* The form of versions before 0.2: what could mean something else now is refused with what to write. */
static void old_files_are_told_what_to_write(void **state)
{
    struct fixture *f = *state;
    load_fails(f, "listen = {\"a\", \"b\"}\n", ":1: listen: a list is written one value a line, each behind the key");
    load_fails(f, "listen a\nlisten += b\n",
               ":2: listen: to add to a list, write the key once more on a line of its own");
    load_fails(f, "/* why */\n", ":1: /*: no such option");
    fresh(f);
    load(f, "workers = 7 # good\n"); /* and the next file is read */
    assert_int_equal(f->values.workers, 7);
}

static void files_that_are_none_are_refused(void **state)
{
    struct fixture *f = *state;
    char expected[256];
    assert_int_equal(options_load_file(&table, &f->values, &f->state, f->path, &f->error), -1);
    (void)snprintf(expected, sizeof expected, "%s: cannot open: %s", f->path, strerror(ENOENT));
    assert_string_equal(f->error.text, expected);
    assert_int_equal(options_load_file(&table, &f->values, &f->state, f->directory, &f->error), -1);
    (void)snprintf(expected, sizeof expected, "%s: is a directory, not a file", f->directory);
    assert_string_equal(f->error.text, expected);
    assert_int_equal(load_bytes(f, "workers = 3\0\n", 13), -1);
    assert_non_null(strstr(f->error.text, "NUL"));
    assert_int_equal(options_load_file(&table, &f->values, &f->state, "/dev/zero", &f->error), -1);
    assert_non_null(strstr(f->error.text, "larger than 1 MiB"));
    assert_int_equal(load_bytes(f, "", 0), 0);
    assert_int_equal(load_bytes(f, "\n", 1), 0);
    assert_int_equal(load_bytes(f, "#", 1), 0);
    check_defaults(&f->values);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_TABLE(a_file_sets_every_type),          WITH_TABLE(words_may_hold_what_begins_comments),
        WITH_TABLE(file_errors_name_line_and_key),   WITH_TABLE(old_files_are_told_what_to_write),
        WITH_TABLE(files_that_are_none_are_refused),
    };
    return cmocka_run_group_tests_name("options_file", tests, NULL, NULL);
}
