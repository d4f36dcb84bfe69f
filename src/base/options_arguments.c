/* Inside the room of options.h: the command line. */
#include <stdlib.h>
#include <string.h>

#include "options_internal.h"

#define WHERE "command line"

struct scan {
    const struct option_table *table;
    void *values;
    struct option_state *state;
    struct string_list *rest;
    struct option_error *error;
    int argc;
    char **argv;
    int next; /* index of the argument to look at */
};

static int set(struct scan *scan, const struct option_spec *spec, const char *text)
{
    return option_apply(scan->table, scan->values, scan->state, spec, OPTION_RANK_COMMAND_LINE, WHERE, text,
                        scan->error);
}

static int fail_unknown(struct scan *scan, const char *shown, const char *name)
{
    const char *similar = option_similar(scan->table, name);
    if (similar != NULL) {
        return option_fail(scan->error, WHERE, shown, "no such option, did you mean --%s?", similar);
    }
    return option_fail(scan->error, WHERE, shown, "no such option, see --help");
}

/* The value that follows in the next argument; NULL, with the error filled in, if there is none. */
static const char *take_value(struct scan *scan, const char *shown, const char *placeholder)
{
    if (scan->next < scan->argc) {
        return scan->argv[scan->next++];
    }
    (void)option_fail(scan->error, WHERE, shown, "needs a value (%s)", placeholder != NULL ? placeholder : "VALUE");
    return NULL;
}

/* "key=value", white space around both ignored. */
static int set_pair(struct scan *scan, const char *pair)
{
    static const char spaces[] = " \t";
    const char *equals = strchr(pair, '=');
    if (equals == NULL) {
        return option_fail(scan->error, WHERE, "-o", "'%.64s' is not KEY=VALUE", pair);
    }
    pair += strspn(pair, spaces);
    size_t length = (size_t)(equals - pair);
    while (length > 0 && strchr(spaces, pair[length - 1])) {
        length--;
    }
    char key[128];
    if (length >= sizeof key || length == 0) {
        return option_fail(scan->error, WHERE, "-o", "'%.64s' is not KEY=VALUE", pair);
    }
    (void)memcpy(key, pair, length);
    key[length] = '\0';
    const struct option_spec *spec = options_find(scan->table, key);
    if (spec == NULL) {
        return option_unknown(scan->table, WHERE, key, scan->error);
    }
    if (spec->flags & OPTION_COMMAND_LINE) {
        return option_fail(scan->error, WHERE, key, "not a configuration key, write --%s", key);
    }
    return set(scan, spec, equals + 1 + strspn(equals + 1, spaces));
}

static int parse_long(struct scan *scan, const char *argument)
{
    char name[128];
    const char *equals = strchr(argument + 2, '=');
    size_t length = equals != NULL ? (size_t)(equals - argument - 2) : strlen(argument + 2);
    if (length >= sizeof name) {
        return option_fail(scan->error, WHERE, "option", "'%.64s...' is no option, see --help", argument);
    }
    (void)memcpy(name, argument + 2, length);
    name[length] = '\0';
    const struct option_spec *spec = options_find(scan->table, name);
    if (spec == NULL && strncmp(name, "no-", 3) == 0) {
        spec = options_find(scan->table, name + 3);
        if (spec != NULL && spec->type != OPTION_BOOL) {
            return option_fail(scan->error, WHERE, argument, "only a yes/no option can be negated");
        }
        if (spec != NULL && equals) {
            return option_fail(scan->error, WHERE, name, "takes no value");
        }
        if (spec != NULL) {
            return set(scan, spec, "no");
        }
    }
    if (spec == NULL) {
        char shown[sizeof name + 2];
        (void)snprintf(shown, sizeof shown, "--%s", name);
        return fail_unknown(scan, shown, name);
    }
    if (equals != NULL) {
        return set(scan, spec, equals + 1);
    }
    if (spec->type == OPTION_BOOL) {
        return set(scan, spec, "yes");
    }
    const char *text = take_value(scan, argument, spec->argument);
    return text != NULL ? set(scan, spec, text) : -1;
}

static const struct option_spec *find_short(const struct option_table *table, char letter)
{
    for (size_t i = 0; i < table->count; i++) {
        if (table->specs[i].short_name == letter) {
            return &table->specs[i];
        }
    }
    return NULL;
}

/* "-v", "-vq", "-n5", "-n 5". */
static int parse_short(struct scan *scan, const char *argument)
{
    for (const char *letter = argument + 1; *letter; letter++) {
        const char shown[] = {'-', *letter, '\0'};
        const struct option_spec *spec = find_short(scan->table, *letter);
        bool pair = spec == NULL && *letter == 'o';
        if (spec == NULL && !pair) {
            return fail_unknown(scan, shown, shown + 1);
        }
        if (spec != NULL && spec->type == OPTION_BOOL) {
            if (set(scan, spec, "yes") != 0) {
                return -1;
            }
            continue;
        }
        const char *text = letter[1] ? letter + 1 : take_value(scan, shown, pair ? "KEY=VALUE" : spec->argument);
        if (text == NULL) {
            return -1;
        }
        return pair ? set_pair(scan, text) : set(scan, spec, text);
    }
    return 0;
}

int options_parse_arguments(const struct option_table *table, void *values, struct option_state *state, int argc,
                            char **argv, struct string_list *rest, struct option_error *error)
{
    struct scan scan = {
        .table = table,
        .values = values,
        .state = state,
        .rest = rest,
        .error = error,
        .argc = argc,
        .argv = argv,
        .next = 1,
    };
    *rest = (struct string_list){.items = calloc((size_t)(argc > 0 ? argc : 1), sizeof *rest->items), .count = 0};
    if (rest->items == NULL) {
        return option_fail(error, WHERE, NULL, "out of memory");
    }
    bool options_ended = false;
    while (scan.next < argc) {
        char *argument = argv[scan.next++];
        int rc = 0;
        if (options_ended || argument[0] != '-' || argument[1] == '\0') {
            rest->items[rest->count++] = argument;
        } else if (strcmp(argument, "--") == 0) {
            options_ended = true;
        } else if (argument[1] == '-') {
            rc = parse_long(&scan, argument);
        } else {
            rc = parse_short(&scan, argument);
        }
        if (rc != 0) {
            return -1;
        }
    }
    return 0;
}
