/*
 * options.h - room: the option table.
 *
 * One table per program holds name, type, bounds, default and help sentence of each option. It drives the configuration
 * file, `-o key=value`, the command line (`--key value`, `--key=value`, a short letter), `--help`, the
 * print-out of the effective values and the tests that the documentation names every key. Pure but for
 * options_load_file, which reads one file. Values live in a struct of the program's, reached by offset; strings and
 * lists in it are malloc'd and owned by it (options_free). Every error is one line in `struct option_error`: where,
 * which key, what is allowed.
 */
#ifndef SSHECHO_OPTIONS_H
#define SSHECHO_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum option_type {
    OPTION_BOOL,        /* bool: yes/no, true/false, on/off, 1/0; a bare --flag means yes, --no-flag means no */
    OPTION_COUNT,       /* uint64_t, units_parse_count, min..max */
    OPTION_SIZE,        /* uint64_t bytes, units_parse_size_bytes, min..max */
    OPTION_DURATION,    /* uint64_t microseconds, units_parse_duration_us, min..max */
    OPTION_STRING,      /* char *, NULL when the default is NULL */
    OPTION_STRING_LIST, /* struct string_list; the first use on the command line or in -o replaces the file's, further
                           uses append */
    OPTION_CHOICE       /* unsigned: index into choices (NULL-terminated) */
};

struct string_list {
    char **items;
    size_t count;
};

struct option_spec {
    const char *name; /* key in the file and after --; lower case, words joined by '-' */
    char short_name;  /* 0: none */
    enum option_type type;
    size_t offset;     /* offsetof the value in the program's struct */
    uint64_t min, max; /* for COUNT, SIZE, DURATION; max 0: no upper bound. OFF_ALLOWED lets 0 through below min */
    const char *default_text;   /* parsed like any other value; NULL: zero / empty */
    const char *const *choices; /* OPTION_CHOICE; for a list: the words it may hold, NULL for any */
    const char *argument;       /* placeholder in --help, e.g. "ADDR:PORT"; NULL for a bool */
    const char *help;           /* one sentence, capital first, full stop */
    const char *group;          /* heading in --help and the order of the sample file */
    unsigned flags;
};

#define OPTION_OFF_ALLOWED 1U  /* 0 or "off" is allowed whatever min says */
#define OPTION_COMMAND_LINE 2U /* not a configuration key (e.g. --config, --check) */
#define OPTION_SECRET 4U       /* its value is never printed */

struct option_table {
    const struct option_spec *specs;
    size_t count;
    const char *program; /* for messages and --help */
    const char *usage;   /* the line(s) after "usage: " */
};

struct option_error {
    char text[512]; /* one line without newline: "FILE:LINE: key: what is wrong (allowed: ...)" */
};

/* The one way to fill it in; `where` and `key` may be NULL. A value may hold line breaks, the message never does.
 * Returns -1. */
__attribute__((format(printf, 4, 5))) int option_fail(struct option_error *error, const char *where, const char *key,
                                                      const char *format, ...);

/* The command line outranks the file whichever is read first; what is outranked is checked all the same. An empty text
 * empties a list and unsets a string (to "" where the default is not NULL). In the file (one `key value` or
 * `key = value` a line) a key may stand once, that of a list as often as it has values.
 *
 * Which options were given explicitly; sized by the table, zeroed by options_init. */
struct option_state {
    unsigned char *given; /* [count]: 0 default, 1 file, 2 -o or command line */
    size_t count;
};

/* options_set counts as the command line; `where` begins its error (NULL: nothing does).
 * All return 0, or -1 with *error filled in. On -1 the values stay valid (some may be set) and options_free still
 * works. */
int options_init(const struct option_table *table, void *values, struct option_state *state,
                 struct option_error *error);
int options_set(const struct option_table *table, void *values, struct option_state *state, const char *where,
                const char *key, const char *text, struct option_error *error);
int options_load_file(const struct option_table *table, void *values, struct option_state *state, const char *path,
                      struct option_error *error);
/* Parses argv[1..]. `-o key=value` is built in; positional arguments go to *rest (pointers into argv; list and items
 * not owned: free(rest->items) only). "--" ends options. A COMMAND_LINE option is not accepted by -o. */
int options_parse_arguments(const struct option_table *table, void *values, struct option_state *state, int argc,
                            char **argv, struct string_list *rest, struct option_error *error);
void options_free(const struct option_table *table, void *values, struct option_state *state);

const struct option_spec *options_find(const struct option_table *table, const char *name);
/* True if the user (file or command line) set this key rather than its default. */
bool options_was_given(const struct option_table *table, const struct option_state *state, const char *name);

void options_print_help(const struct option_table *table, FILE *out);
/* "key value" lines in table order, in the syntax of the configuration file; secrets as "***". */
void options_print_effective(const struct option_table *table, const void *values, FILE *out);
/* A sample configuration, what conf/NAME.conf holds: each key's help above `#key default`. It is all comments, so
 * that installing it gives no key a value (options_was_given), and without the '#'s it sets the defaults. */
void options_print_sample(const struct option_table *table, FILE *out);

#endif
