/* Tests of the room of options.h, with a table that has one option of every type. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sshecho/options.h"

struct values {
    bool verbose;
    bool reuse;
    uint64_t workers;
    uint64_t window_bytes;
    uint64_t idle_us;
    uint64_t plain;
    uint64_t at_least;
    char *user;
    char *greeting;
    char *password;
    struct string_list listen;
    struct string_list tags;
    struct string_list methods;
    unsigned format;
    bool check;
    char *config;
};

static const char *const methods[] = {"none", "password", "publickey", NULL};
static const char *const formats[] = {"kv", "json", "none", NULL};

#define FIELD(name) .offset = offsetof(struct values, name)

static const struct option_spec specs[] = {
    {.name = "verbose",
     .short_name = 'v',
     .type = OPTION_BOOL,
     FIELD(verbose),
     .default_text = "no",
     .help = "Says more.",
     .group = "General"},
    {.name = "reuse", .short_name = 'r', .type = OPTION_BOOL, FIELD(reuse), .default_text = "yes", .help = "Reuses."},
    {.name = "workers",
     .short_name = 'w',
     .type = OPTION_COUNT,
     FIELD(workers),
     .min = 1,
     .max = 64,
     .default_text = "4",
     .argument = "N",
     .help = "Number of workers.",
     .group = "General"},
    {.name = "window",
     .type = OPTION_SIZE,
     FIELD(window_bytes),
     .min = 1024,
     .max = 1024 * 1024,
     .default_text = "64K",
     .argument = "SIZE",
     .help = "Window of a channel, which is the most that a peer may send before we have taken it, and this "
             "sentence is long enough to be wrapped.",
     .group = "Limits"},
    {.name = "idle-timeout",
     .short_name = 't',
     .type = OPTION_DURATION,
     FIELD(idle_us),
     .min = 1000000,
     .max = UINT64_C(3600000000),
     .flags = OPTION_OFF_ALLOWED,
     .default_text = "off",
     .argument = "TIME",
     .help = "Ends an idle session.",
     .group = "Limits"},
    {.name = "plain", .type = OPTION_COUNT, FIELD(plain), .argument = "N", .help = "No bounds.", .group = "Limits"},
    {.name = "at-least",
     .type = OPTION_COUNT,
     FIELD(at_least),
     .min = 10,
     .default_text = "10k",
     .argument = "N",
     .help = "No upper bound.",
     .group = "Limits"},
    {.name = "user", .type = OPTION_STRING, FIELD(user), .argument = "NAME", .help = "User.", .group = "Limits"},
    {.name = "greeting",
     .type = OPTION_STRING,
     FIELD(greeting),
     .default_text = "say \"${HOME}\" \\ it's #1",
     .argument = "TEXT",
     .help = "Greeting.",
     .group = "Limits"},
    {.name = "password",
     .type = OPTION_STRING,
     FIELD(password),
     .flags = OPTION_SECRET,
     .argument = "TEXT",
     .help = "Password.",
     .group = "Limits"},
    {.name = "listen",
     .short_name = 'l',
     .type = OPTION_STRING_LIST,
     FIELD(listen),
     .default_text = "127.0.0.1:2222",
     .argument = "ADDR:PORT",
     .help = "Listens there.",
     .group = "Limits"},
    {.name = "tags", .type = OPTION_STRING_LIST, FIELD(tags), .argument = "TAG", .help = "Tags.", .group = "Limits"},
    {.name = "auth",
     .type = OPTION_STRING_LIST,
     FIELD(methods),
     .choices = methods,
     .default_text = "none,password",
     .argument = "LIST",
     .help = "Methods.",
     .group = "Limits"},
    {.name = "log-format",
     .type = OPTION_CHOICE,
     FIELD(format),
     .choices = formats,
     .default_text = "json",
     .argument = "FORMAT",
     .help = "Form of the log.",
     .group = "Limits"},
    {.name = "check", .type = OPTION_BOOL, FIELD(check), .flags = OPTION_COMMAND_LINE, .help = "Checks only."},
    {.name = "config",
     .short_name = 'f',
     .type = OPTION_STRING,
     FIELD(config),
     .flags = OPTION_COMMAND_LINE,
     .argument = "FILE",
     .help = "Reads FILE."},
};

static const struct option_table table = {
    .specs = specs,
    .count = sizeof specs / sizeof specs[0],
    .program = "program",
    .usage = "program [option ...]",
};

struct fixture {
    struct values values;
    struct option_state state;
    struct option_error error;
    struct string_list rest;
    char directory[64];
    char path[96];
    char *text; /* what a printer printed */
    size_t text_size;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    if (!f)
        return -1;
    (void)memset(&f->values, 0xa5, sizeof f->values); /* options_init must not rely on zeroes */
    *state = f;
    if (options_init(&table, &f->values, &f->state, &f->error) != 0) {
        print_error("%s\n", f->error.text);
        return -1;
    }
    (void)snprintf(f->directory, sizeof f->directory, "/tmp/sshecho-options-XXXXXX");
    if (!mkdtemp(f->directory))
        return -1;
    (void)snprintf(f->path, sizeof f->path, "%s/a.conf", f->directory);
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    options_free(&table, &f->values, &f->state);
    options_free(&table, &f->values, &f->state); /* twice is harmless */
    free(f->rest.items);
    free(f->text);
    (void)unlink(f->path);
    (void)rmdir(f->directory);
    free(f);
    return 0;
}

static void fresh(struct fixture *f)
{
    options_free(&table, &f->values, &f->state);
    assert_int_equal(options_init(&table, &f->values, &f->state, &f->error), 0);
}

static int load_bytes(struct fixture *f, const char *bytes, size_t length)
{
    FILE *file = fopen(f->path, "we");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, length, file), length);
    assert_int_equal(fclose(file), 0);
    return options_load_file(&table, &f->values, &f->state, f->path, &f->error);
}

static void load(struct fixture *f, const char *text)
{
    if (load_bytes(f, text, strlen(text)) != 0)
        fail_msg("%s", f->error.text);
}

/* Loading text must fail with exactly "PATH" + expected. */
static void load_fails(struct fixture *f, const char *text, const char *expected)
{
    fresh(f);
    (void)memset(&f->error, 'x', sizeof f->error);
    if (load_bytes(f, text, strlen(text)) == 0)
        fail_msg("accepted: %s", text);
    assert_memory_equal(f->error.text, f->path, strlen(f->path));
    assert_string_equal(f->error.text + strlen(f->path), expected);
}

#define ARGUMENTS_MAX 32

static int parse(struct fixture *f, const char *const *arguments)
{
    char *argv[ARGUMENTS_MAX] = {(char *)(uintptr_t) "program"};
    int argc = 1;
    for (; arguments[argc - 1]; argc++) {
        assert_true(argc < ARGUMENTS_MAX - 1);
        argv[argc] = (char *)(uintptr_t)arguments[argc - 1];
    }
    free(f->rest.items);
    return options_parse_arguments(&table, &f->values, &f->state, argc, argv, &f->rest, &f->error);
}

#define PARSE(f, ...)                                                                                                  \
    do {                                                                                                               \
        if (parse((f), (const char *const[]){__VA_ARGS__, NULL}) != 0)                                                 \
            fail_msg("%s", (f)->error.text);                                                                           \
    } while (0)

#define PARSE_FAILS(f, expected, ...)                                                                                  \
    do {                                                                                                               \
        fresh(f);                                                                                                      \
        assert_int_equal(parse((f), (const char *const[]){__VA_ARGS__, NULL}), -1);                                    \
        assert_string_equal((f)->error.text, "command line: " expected);                                               \
    } while (0)

static void check_list(const struct string_list *list, const char *const *expected)
{
    size_t count = 0;
    for (; expected[count]; count++) {
        assert_true(count < list->count);
        assert_string_equal(list->items[count], expected[count]);
    }
    assert_int_equal(list->count, count);
}

#define CHECK_LIST(list, ...) check_list((list), (const char *const[]){__VA_ARGS__, NULL})

static const char *print(struct fixture *f, void (*printer)(struct fixture *f, FILE *out))
{
    free(f->text);
    FILE *out = open_memstream(&f->text, &f->text_size);
    assert_non_null(out);
    printer(f, out);
    assert_int_equal(fclose(out), 0);
    return f->text;
}

static void effective(struct fixture *f, FILE *out)
{
    options_print_effective(&table, &f->values, out);
}

static void sample(struct fixture *f, FILE *out)
{
    (void)f;
    options_print_sample(&table, out);
}

static void help(struct fixture *f, FILE *out)
{
    (void)f;
    options_print_help(&table, out);
}

static void check_defaults(const struct values *v)
{
    assert_false(v->verbose);
    assert_true(v->reuse);
    assert_int_equal(v->workers, 4);
    assert_int_equal(v->window_bytes, 65536);
    assert_int_equal(v->idle_us, 0);
    assert_int_equal(v->plain, 0);
    assert_int_equal(v->at_least, 10000);
    assert_null(v->user);
    assert_string_equal(v->greeting, "say \"${HOME}\" \\ it's #1");
    assert_null(v->password);
    CHECK_LIST(&v->listen, "127.0.0.1:2222");
    assert_int_equal(v->tags.count, 0);
    CHECK_LIST(&v->methods, "none,password");
    assert_int_equal(v->format, 1);
    assert_false(v->check);
    assert_null(v->config);
}

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

#define WITH_TABLE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_TABLE(defaults_are_set),
        WITH_TABLE(a_bad_default_is_found),
        WITH_TABLE(a_file_sets_every_type),
        WITH_TABLE(words_may_hold_what_begins_comments),
        WITH_TABLE(values_can_be_unset),
        WITH_TABLE(bools_are_read),
        WITH_TABLE(bounds_are_kept),
        WITH_TABLE(file_errors_name_line_and_key),
        WITH_TABLE(old_files_are_told_what_to_write),
        WITH_TABLE(files_that_are_none_are_refused),
        WITH_TABLE(the_command_line_sets_every_type),
        WITH_TABLE(short_letters),
        WITH_TABLE(positional_arguments_are_handed_on),
        WITH_TABLE(bad_command_lines_are_refused),
        WITH_TABLE(long_texts_leave_one_short_line),
        WITH_TABLE(the_command_line_outranks_the_file),
        WITH_TABLE(secrets_stay_secret),
        WITH_TABLE(effective_values_load_back),
        WITH_TABLE(the_sample_loads_back_to_the_defaults),
        WITH_TABLE(help_names_every_option),
    };
    return cmocka_run_group_tests_name("options", tests, NULL, NULL);
}
