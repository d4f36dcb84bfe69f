/* Tests of options.h: what is printed loads back; help. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "options_table.h"

static void secrets_stay_secret(void **state)
{
    struct fixture *f = *state;
    assert_non_null(strstr(print(f, effective), "password \"\"\n"));
    PARSE(f, "-o", "password=hunter2");
    assert_string_equal(f->values.password, "hunter2");
    assert_null(strstr(print(f, effective), "hunter2"));
    assert_non_null(strstr(f->text, "password ***\n"));
}

static void effective_values_load_back(void **state)
{
    struct fixture *f = *state;
    static const char nasty[] = "a\"b\\c ${HOME} $x 'q' # /* // \n\t\x01 \x7f j\xc3\xbcrgen";
    PARSE(f, "-v", "--no-reuse", "-w", "33", "--window=1.5K", "-t", "90s", "--plain=123456789", "--at-least=20k",
          "--greeting", nasty, "--user", nasty, "-l", nasty, "-l", "b", "--tags=c,d", "--log-format=none");
    char *first = strdup(print(f, effective));
    assert_non_null(first);
    assert_null(strstr(first, "check"));
    fresh(f);
    load(f, first);
    assert_string_equal(print(f, effective), first);
    assert_string_equal(f->values.user, nasty);
    assert_string_equal(f->values.greeting, nasty);
    CHECK_LIST(&f->values.listen, nasty, "b");
    assert_int_equal(f->values.idle_us, 90000000);
    assert_int_equal(f->values.window_bytes, 1536);
    free(first);
}

/* Takes the '#' from every line that holds a key. */
static void uncomment(char *text)
{
    for (char *line = text; line; line = strchr(line, '\n')) {
        line += *line == '\n' ? 1 : 0;
        if (line[0] == '#' && line[1] >= 'a' && line[1] <= 'z')
            line[0] = ' ';
    }
}

static void the_sample_loads_back_to_the_defaults(void **state)
{
    struct fixture *f = *state;
    char *text = strdup(print(f, sample));
    assert_non_null(text);
    for (size_t i = 0; i < table.count; i++) {
        char assignment[64];
        bool key = !(specs[i].flags & OPTION_COMMAND_LINE);
        (void)snprintf(assignment, sizeof assignment, "\n#%s ", specs[i].name);
        if ((strstr(text, assignment) != NULL) != key)
            fail_msg("%s in:\n%s", specs[i].name, text);
        assert_non_null(strstr(text, "\n# --- General ---\n"));
    }
    assert_non_null(strstr(text, "# Number of workers. [1 to 64]\n#workers 4\n"));
    load(f, text);
    check_defaults(&f->values);
    for (size_t i = 0; i < table.count; i++)
        assert_false(options_was_given(&table, &f->state, specs[i].name));
    uncomment(text);
    load(f, text);
    check_defaults(&f->values);
    for (size_t i = 0; i < table.count; i++)
        assert_int_equal(options_was_given(&table, &f->state, specs[i].name), !(specs[i].flags & OPTION_COMMAND_LINE));
    free(text);
}

static void help_names_every_option(void **state)
{
    struct fixture *f = *state;
    const char *text = print(f, help);
    assert_memory_equal(text, "usage: program [option ...]\n", 28);
    for (size_t i = 0; i < table.count; i++) {
        char name[64];
        (void)snprintf(name, sizeof name, "--%s", specs[i].name);
        assert_non_null(strstr(text, name));
    }
    assert_non_null(strstr(text, "\nGeneral:\n  -v, --verbose               Says more.\n"));
    assert_non_null(strstr(text, "  -w, --workers N             Number of workers. [default 4; 1 to 64]\n"));
    assert_non_null(strstr(text, "      --log-format FORMAT     Form of the log. [default json; kv, json or none]\n"));
    assert_non_null(strstr(text, "Methods. [default none,password; none, password or publickey]\n"));
    assert_non_null(strstr(text, "-o KEY=VALUE"));
    while (*text) {
        size_t length = strcspn(text, "\n");
        assert_true(length <= 100);
        text += length + 1;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_TABLE(secrets_stay_secret),
        WITH_TABLE(effective_values_load_back),
        WITH_TABLE(the_sample_loads_back_to_the_defaults),
        WITH_TABLE(help_names_every_option),
    };
    return cmocka_run_group_tests_name("options_print", tests, NULL, NULL);
}
