/* The option table that the fuzz targets of options.h share: one option of every type. */
#ifndef FUZZ_TABLE_H
#define FUZZ_TABLE_H

#include <stdlib.h>
#include <string.h>

#include "sshecho/options.h"

struct fuzz_values {
    bool flag;
    unsigned choice;
    uint64_t count, size, duration;
    char *text;
    char *secret;
    struct string_list list;
    struct string_list words;
    bool check;
};

static const char *const fuzz_choices[] = {"one", "two", NULL};

static const struct option_spec fuzz_specs[] = {
    {"flag", 'f', OPTION_BOOL, offsetof(struct fuzz_values, flag), 0, 0, "no", NULL, NULL, "Flag.", "A", 0},
    {"choice", 'c', OPTION_CHOICE, offsetof(struct fuzz_values, choice), 0, 0, "one", fuzz_choices, "C", "Choice.", "A",
     0},
    {"count", 'n', OPTION_COUNT, offsetof(struct fuzz_values, count), 1, 1000000, "4", NULL, "N", "Count.", "A", 0},
    {"size", 's', OPTION_SIZE, offsetof(struct fuzz_values, size), 1024, 0, "64K", NULL, "S", "Size.", "B", 0},
    {"time", 't', OPTION_DURATION, offsetof(struct fuzz_values, duration), 1000000, UINT64_C(3600000000), "off", NULL,
     "T", "Time.", "B", OPTION_OFF_ALLOWED},
    {"text", 'x', OPTION_STRING, offsetof(struct fuzz_values, text), 0, 0, "", NULL, "X", "Text.", "B", 0},
    {"secret", 0, OPTION_STRING, offsetof(struct fuzz_values, secret), 0, 0, NULL, NULL, "X", "Secret.", "B",
     OPTION_SECRET},
    {"list", 'l', OPTION_STRING_LIST, offsetof(struct fuzz_values, list), 0, 0, "a", NULL, "L", "List.", "B", 0},
    {"words", 'w', OPTION_STRING_LIST, offsetof(struct fuzz_values, words), 0, 0, "one,two", fuzz_choices, "W",
     "Words.", "B", 0},
    {"check", 0, OPTION_BOOL, offsetof(struct fuzz_values, check), 0, 0, NULL, NULL, NULL, "Check.", "B",
     OPTION_COMMAND_LINE},
};

static const struct option_table fuzz_table = {
    .specs = fuzz_specs,
    .count = sizeof fuzz_specs / sizeof fuzz_specs[0],
    .program = "fuzz",
    .usage = "fuzz",
};

/* What holds after any call: bounds are kept, and an error is one line that says something. */
static inline void fuzz_check(const struct fuzz_values *v, int rc, const struct option_error *error)
{
    if (v->count < 1 || v->count > 1000000 || v->size < 1024 || v->choice > 1 || !v->text)
        abort();
    if (v->duration != 0 && (v->duration < 1000000 || v->duration > UINT64_C(3600000000)))
        abort();
    if (rc == 0)
        return;
    size_t length = strnlen(error->text, sizeof error->text);
    if (rc != -1 || length == 0 || length == sizeof error->text || strpbrk(error->text, "\r\n\x1b"))
        abort();
}

#endif
