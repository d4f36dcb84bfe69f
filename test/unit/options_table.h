/*
 * options_table.h - inside the unit tests of options.h: a table that has one option of every type, and its values.
 *
 * After cmocka.h. Each test begins with the defaults, and has a file of its own to write.
 */
#ifndef TEST_UNIT_OPTIONS_TABLE_H
#define TEST_UNIT_OPTIONS_TABLE_H

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

static inline int setup(void **state)
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

static inline int teardown(void **state)
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

static inline void fresh(struct fixture *f)
{
    options_free(&table, &f->values, &f->state);
    assert_int_equal(options_init(&table, &f->values, &f->state, &f->error), 0);
}

static inline int load_bytes(struct fixture *f, const char *bytes, size_t length)
{
    FILE *file = fopen(f->path, "we");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, length, file), length);
    assert_int_equal(fclose(file), 0);
    return options_load_file(&table, &f->values, &f->state, f->path, &f->error);
}

static inline void load(struct fixture *f, const char *text)
{
    if (load_bytes(f, text, strlen(text)) != 0)
        fail_msg("%s", f->error.text);
}

/* Loading text must fail with exactly "PATH" + expected. */
static inline void load_fails(struct fixture *f, const char *text, const char *expected)
{
    fresh(f);
    (void)memset(&f->error, 'x', sizeof f->error);
    if (load_bytes(f, text, strlen(text)) == 0)
        fail_msg("accepted: %s", text);
    assert_memory_equal(f->error.text, f->path, strlen(f->path));
    assert_string_equal(f->error.text + strlen(f->path), expected);
}

#define ARGUMENTS_MAX 32

static inline int parse(struct fixture *f, const char *const *arguments)
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

static inline void check_list(const struct string_list *list, const char *const *expected)
{
    size_t count = 0;
    for (; expected[count]; count++) {
        assert_true(count < list->count);
        assert_string_equal(list->items[count], expected[count]);
    }
    assert_int_equal(list->count, count);
}

#define CHECK_LIST(list, ...) check_list((list), (const char *const[]){__VA_ARGS__, NULL})

static inline const char *print(struct fixture *f, void (*printer)(struct fixture *f, FILE *out))
{
    free(f->text);
    FILE *out = open_memstream(&f->text, &f->text_size);
    assert_non_null(out);
    printer(f, out);
    assert_int_equal(fclose(out), 0);
    return f->text;
}

static inline void effective(struct fixture *f, FILE *out)
{
    options_print_effective(&table, &f->values, out);
}

static inline void sample(struct fixture *f, FILE *out)
{
    (void)f;
    options_print_sample(&table, out);
}

static inline void help(struct fixture *f, FILE *out)
{
    (void)f;
    options_print_help(&table, out);
}

static inline void check_defaults(const struct values *v)
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

#define WITH_TABLE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

#endif
