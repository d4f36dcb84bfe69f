#include "sshecho/options.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "options_internal.h"
#include "sshecho/units.h"

static void *field_of(const struct option_spec *spec, void *values)
{
    return (char *)values + spec->offset;
}

int option_fail(struct option_error *error, const char *where, const char *key, const char *format, ...)
{
    int used = snprintf(error->text, sizeof error->text, "%.180s%s%.64s%s", where != NULL ? where : "",
                        where != NULL ? ": " : "", key != NULL ? key : "", key != NULL ? ": " : "");
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(error->text + used, sizeof error->text - (size_t)used, format, arguments);
    va_end(arguments);
    for (char *c = error->text; *c; c++) {
        if ((unsigned char)*c < 0x20 || *c == 0x7f) {
            *c = '?'; /* a value from a file or a shell may hold line breaks; the message is one line */
        }
    }
    return -1;
}

const struct option_spec *options_find(const struct option_table *table, const char *name)
{
    for (size_t i = 0; i < table->count; i++) {
        if (strcmp(table->specs[i].name, name) == 0) {
            return &table->specs[i];
        }
    }
    return NULL;
}

static size_t index_of(const struct option_table *table, const struct option_spec *spec)
{
    return (size_t)(spec - table->specs);
}

bool options_was_given(const struct option_table *table, const struct option_state *state, const char *name)
{
    const struct option_spec *spec = options_find(table, name);
    return spec != NULL && state->given != NULL && state->given[index_of(table, spec)] != OPTION_RANK_DEFAULT;
}

static void list_clear(struct string_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        free(list->items[i]);
    }
    free(list->items);
    *list = (struct string_list){.items = NULL, .count = 0};
}

/* Takes `item` over on success. */
static int list_append(struct string_list *list, char *item)
{
    char **items = realloc(list->items, (list->count + 1) * sizeof *items);
    if (items == NULL) {
        return -1;
    }
    items[list->count] = item;
    list->items = items;
    list->count++;
    return 0;
}

static bool parse_bool(const char *text, bool *out)
{
    static const char *const words[][2] = {{"no", "yes"}, {"false", "true"}, {"off", "on"}, {"0", "1"}};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        for (unsigned value = 0; value < 2; value++) {
            if (strcmp(text, words[i][value]) == 0) {
                *out = value != 0;
                return true;
            }
        }
    }
    return false;
}

static bool parse_choice(const struct option_spec *spec, const char *text, unsigned *out)
{
    for (unsigned i = 0; spec->choices[i]; i++) {
        if (strcmp(spec->choices[i], text) == 0) {
            *out = i;
            return true;
        }
    }
    return false;
}

static bool parse_number(const struct option_spec *spec, const char *text, uint64_t *out)
{
    if (spec->type == OPTION_SIZE) {
        return units_parse_size_bytes(text, out);
    }
    if (spec->type == OPTION_DURATION) {
        return units_parse_duration_us(text, out);
    }
    return units_parse_count(text, out);
}

static bool in_bounds(const struct option_spec *spec, uint64_t value)
{
    if (value == 0 && (spec->flags & OPTION_OFF_ALLOWED)) {
        return true;
    }
    return value >= spec->min && (spec->max == 0 || value <= spec->max);
}

static int refuse(const struct option_spec *spec, const char *where, const char *text, const char *what,
                  struct option_error *error)
{
    char allowed[OPTION_ALLOWED_MAX];
    (void)option_allowed(spec, allowed);
    if (spec->flags & OPTION_SECRET) {
        return option_fail(error, where, spec->name, "the value is %s (allowed: %s)", what, allowed);
    }
    return option_fail(error, where, spec->name, "'%.64s' is %s (allowed: %s)", text, what, allowed);
}

static int apply_bool(const struct option_spec *spec, bool *field, const char *where, const char *text,
                      struct option_error *error)
{
    bool value;
    if (!parse_bool(text, &value)) {
        return refuse(spec, where, text, "neither yes nor no", error);
    }
    if (field != NULL) {
        *field = value;
    }
    return 0;
}

static int apply_number(const struct option_spec *spec, uint64_t *field, const char *where, const char *text,
                        struct option_error *error)
{
    static const char *const not_a[] = {
        [OPTION_COUNT] = "not a count",
        [OPTION_SIZE] = "not a size",
        [OPTION_DURATION] = "not a duration",
    };
    uint64_t value;
    if (!parse_number(spec, text, &value)) {
        return refuse(spec, where, text, not_a[spec->type], error);
    }
    if (!in_bounds(spec, value)) {
        return refuse(spec, where, text, "out of range", error);
    }
    if (field != NULL) {
        *field = value;
    }
    return 0;
}

static int apply_choice(const struct option_spec *spec, unsigned *field, const char *where, const char *text,
                        struct option_error *error)
{
    unsigned value;
    if (!parse_choice(spec, text, &value)) {
        return refuse(spec, where, text, "not a choice", error);
    }
    if (field != NULL) {
        *field = value;
    }
    return 0;
}

static int apply_string(const struct option_spec *spec, char **field, const char *where, const char *text,
                        struct option_error *error)
{
    if (field == NULL) {
        return 0;
    }
    char *copy = NULL;
    /* Where the default is "none", an empty text says so again. */
    if (*text != '\0' || spec->default_text) {
        copy = strdup(text);
        if (copy == NULL) {
            return option_fail(error, where, spec->name, "out of memory");
        }
    }
    free(*field);
    *field = copy;
    return 0;
}

/* With choices, every word of a list (separated by commas or blanks) is one of them. */
static const char *stranger_in(const struct option_spec *spec, const char *text, char word[64])
{
    for (const char *at = text + strspn(text, ", "); *at != '\0'; at += strspn(at, ", ")) {
        size_t length = strcspn(at, ", ");
        unsigned index;
        (void)snprintf(word, 64, "%.*s", (int)(length < 63 ? length : 63), at);
        if (!parse_choice(spec, word, &index)) {
            return word;
        }
        at += length;
    }
    return NULL;
}

static int apply_list(const struct option_spec *spec, struct string_list *field, bool replace, const char *where,
                      const char *text, struct option_error *error)
{
    char word[64];
    if (spec->choices && stranger_in(spec, text, word)) {
        return refuse(spec, where, word, "none of the words", error);
    }
    if (field == NULL) {
        return 0;
    }
    if (replace || *text == '\0') {
        list_clear(field);
    }
    if (*text == '\0') {
        return 0;
    }
    char *copy = strdup(text);
    if (copy == NULL || list_append(field, copy) != 0) {
        free(copy);
        return option_fail(error, where, spec->name, "out of memory");
    }
    return 0;
}

int option_apply(const struct option_table *table, void *values, struct option_state *state,
                 const struct option_spec *spec, enum option_rank rank, const char *where, const char *text,
                 struct option_error *error)
{
    unsigned char *given = &state->given[index_of(table, spec)];
    void *field = *given > rank ? NULL : field_of(spec, values); /* NULL: check only */
    int rc = -1;
    switch (spec->type) {
    case OPTION_BOOL:
        rc = apply_bool(spec, field, where, text, error);
        break;
    case OPTION_COUNT:
    case OPTION_SIZE:
    case OPTION_DURATION:
        rc = apply_number(spec, field, where, text, error);
        break;
    case OPTION_STRING:
        rc = apply_string(spec, field, where, text, error);
        break;
    case OPTION_STRING_LIST:
        rc = apply_list(spec, field, *given < rank, where, text, error);
        break;
    case OPTION_CHOICE:
        rc = apply_choice(spec, field, where, text, error);
        break;
    }
    if (rc == 0 && field) {
        *given = (unsigned char)rank;
    }
    return rc;
}

static void zero_field(const struct option_spec *spec, void *values)
{
    void *field = field_of(spec, values);
    switch (spec->type) {
    case OPTION_BOOL:
        *(bool *)field = false;
        break;
    case OPTION_COUNT:
    case OPTION_SIZE:
    case OPTION_DURATION:
        *(uint64_t *)field = 0;
        break;
    case OPTION_STRING:
        *(char **)field = NULL;
        break;
    case OPTION_STRING_LIST:
        *(struct string_list *)field = (struct string_list){.items = NULL, .count = 0};
        break;
    case OPTION_CHOICE:
        *(unsigned *)field = 0;
        break;
    }
}

int options_init(const struct option_table *table, void *values, struct option_state *state, struct option_error *error)
{
    for (size_t i = 0; i < table->count; i++) {
        zero_field(&table->specs[i], values);
    }
    *state = (struct option_state){.given = calloc(table->count + 1, 1), .count = table->count};
    if (state->given == NULL) {
        return option_fail(error, table->program, NULL, "out of memory");
    }
    for (size_t i = 0; i < table->count; i++) {
        const struct option_spec *spec = &table->specs[i];
        if (spec->default_text && option_apply(table, values, state, spec, OPTION_RANK_DEFAULT, "built-in default",
                                               spec->default_text, error) != 0) {
            return -1;
        }
    }
    return 0;
}

void options_free(const struct option_table *table, void *values, struct option_state *state)
{
    for (size_t i = 0; i < table->count; i++) {
        const struct option_spec *spec = &table->specs[i];
        if (spec->type == OPTION_STRING) {
            free(*(char **)field_of(spec, values));
        } else if (spec->type == OPTION_STRING_LIST) {
            list_clear(field_of(spec, values));
        }
        zero_field(spec, values);
    }
    free(state->given);
    *state = (struct option_state){.given = NULL, .count = 0};
}

/* Edit distance (insert, delete, replace), given up as "too far" for long names. */
static size_t distance(const char *a, const char *b)
{
    size_t a_length = strlen(a);
    size_t b_length = strlen(b);
    size_t row[64];
    if (a_length >= 64 || b_length >= 64) {
        return SIZE_MAX;
    }
    for (size_t j = 0; j <= b_length; j++) {
        row[j] = j;
    }
    for (size_t i = 1; i <= a_length; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b_length; j++) {
            size_t best = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
            diagonal = row[j];
            if (row[j] + 1 < best) {
                best = row[j] + 1;
            }
            if (row[j - 1] + 1 < best) {
                best = row[j - 1] + 1;
            }
            row[j] = best;
        }
    }
    return row[b_length];
}

const char *option_similar(const struct option_table *table, const char *name)
{
    const char *similar = NULL;
    size_t nearest = strlen(name) / 3 + 1; /* a third of the letters may be wrong */
    for (size_t i = 0; i < table->count; i++) {
        size_t apart = distance(name, table->specs[i].name);
        if (apart < nearest) {
            nearest = apart;
            similar = table->specs[i].name;
        }
    }
    return similar;
}

int option_unknown(const struct option_table *table, const char *where, const char *key, struct option_error *error)
{
    const char *similar = option_similar(table, key);
    if (similar != NULL) {
        return option_fail(error, where, key, "no such option, did you mean %s?", similar);
    }
    return option_fail(error, where, key, "no such option");
}

int options_set(const struct option_table *table, void *values, struct option_state *state, const char *where,
                const char *key, const char *text, struct option_error *error)
{
    const struct option_spec *spec = options_find(table, key);
    if (spec == NULL) {
        return option_unknown(table, where, key, error);
    }
    return option_apply(table, values, state, spec, OPTION_RANK_COMMAND_LINE, where, text, error);
}
