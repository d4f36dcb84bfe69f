/* A command line of which some words are a command's own: each goes to its side, with its value and no more. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "load/tools/words.h"

static const struct option_spec specs[] = {
    {"quiet", 'q', OPTION_BOOL, 0, 0, 0, "no", NULL, NULL, "", "", 0},
    {"count", 'n', OPTION_COUNT, 0, 0, 0, "1", NULL, "N", "", "", 0},
    {"json", 0, OPTION_STRING, 0, 0, 0, NULL, NULL, "FILE", "", "", 0},
};
static const struct option_table table = {.specs = specs, .count = 3, .program = "test"};

static void join(const struct words *words, size_t from, char out[256])
{
    size_t at = 0;
    out[0] = '\0';
    for (size_t i = from; i < words->count; i++) {
        at += (size_t)snprintf(out + at, 256 - at, "%s%s", i > from ? " " : "", words->items[i]);
    }
    assert_null(words->items[words->count]);
}

static void test_each_word_goes_to_its_side(void **state)
{
    /* what is said (split at blanks), what is ours, what is the run's */
    static const char *const cases[][3] = {
        {"-q -c 5 host", "-q", "-c 5 host"},
        {"-qk host", "-q", "-k host"}, /* a flag takes no value: the next letter is a flag too */
        {"-kq host", "-q", "-k host"},
        {"-kqV host", "-q", "-k -V host"},
        {"-qn5 host", "-q -n 5", "host"},
        {"-kn 5 host", "-n 5", "-k host"},
        {"-kc5 -n6 host", "-n6", "-k -c 5 host"},
        {"-c5 -n 6 host", "-n 6", "-c5 host"},
        {"--json x --label --json host", "--json x",
         "--label --json host"}, /* a value may look like an option of ours */
        {"-l -n host", "", "-l -n host"},
        {"--json=x --count 3 --quiet host", "--json=x --count 3 --quiet", "host"},
        {"--no-quiet --no-verify host", "--no-quiet", "--no-verify host"},
        {"-o json=x -o size=9 -ocount=2 host", "-o json=x -ocount=2", "-o size=9 host"},
        {"-c 5 -- -n host", "", "-c 5 -- -n host"}, /* no option is behind it */
        {"--unknown -x host -", "", "--unknown -x host -"},
        {"-n", "-n", ""},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char said[256];
        char found[256];
        char *argv[32] = {"test"};
        int argc = 1;
        char *rest = NULL;
        struct words_line line;
        (void)snprintf(said, sizeof said, "%s", cases[i][0]);
        for (char *word = strtok_r(said, " ", &rest); word != NULL; word = strtok_r(NULL, " ", &rest)) {
            argv[argc++] = word;
        }
        assert_int_equal(words_sort(&table, argc, argv, &line), 0);
        assert_string_equal(line.ours.items[0], "test");
        join(&line.ours, 1, found);
        assert_string_equal(found, cases[i][1]);
        join(&line.runs, 0, found);
        assert_string_equal(found, cases[i][2]);
        words_free(&line);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_each_word_goes_to_its_side)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
