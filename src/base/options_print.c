/* Inside the room of options.h: everything that shows options to a person. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "options_internal.h"
#include "sshecho/units.h"

#define UNIT_TEXT_MAX 48
#define LINE_WIDTH 100
#define HELP_COLUMN 30 /* where the sentences of --help begin */

static const char *print_number(const struct option_spec *spec, uint64_t value, char buffer[UNIT_TEXT_MAX])
{
    if (value == 0 && (spec->flags & OPTION_OFF_ALLOWED)) {
        (void)snprintf(buffer, UNIT_TEXT_MAX, "off");
    } else if (spec->type == OPTION_SIZE) {
        (void)units_print_size(buffer, UNIT_TEXT_MAX, value);
    } else if (spec->type == OPTION_DURATION) {
        (void)units_print_duration(buffer, UNIT_TEXT_MAX, value);
    } else {
        (void)units_print_count(buffer, UNIT_TEXT_MAX, value);
    }
    return buffer;
}

static void allowed_number(const struct option_spec *spec, char buffer[OPTION_ALLOWED_MAX])
{
    static const char *const examples[] = {
        [OPTION_COUNT] = "a number such as 500 or 10k",
        [OPTION_SIZE] = "a size such as 64K or 1MB",
        [OPTION_DURATION] = "a duration such as 250ms, 30s or 5m",
    };
    char low[UNIT_TEXT_MAX];
    char high[UNIT_TEXT_MAX];
    struct option_spec plain = *spec;
    plain.flags = 0; /* a bound of 0 is a number, not "off" */
    (void)print_number(&plain, spec->min, low);
    (void)print_number(&plain, spec->max, high);
    if (spec->type == OPTION_COUNT) { /* "1 to 1000" reads better than "1 to 1k" */
        (void)snprintf(low, sizeof low, "%" PRIu64, spec->min);
        (void)snprintf(high, sizeof high, "%" PRIu64, spec->max);
    }
    const char *off = (spec->flags & OPTION_OFF_ALLOWED) != 0 && spec->min > 0 ? ", or off" : "";
    if (spec->min == 0 && spec->max == 0) {
        (void)snprintf(buffer, OPTION_ALLOWED_MAX, "%s", examples[spec->type]);
    } else if (spec->max == 0) {
        (void)snprintf(buffer, OPTION_ALLOWED_MAX, "%s or more%s", low, off);
    } else {
        (void)snprintf(buffer, OPTION_ALLOWED_MAX, "%s to %s%s", low, high, off);
    }
}

const char *option_allowed(const struct option_spec *spec, char buffer[OPTION_ALLOWED_MAX])
{
    size_t length = 0;
    buffer[0] = '\0';
    switch (spec->type) {
    case OPTION_BOOL:
        (void)snprintf(buffer, OPTION_ALLOWED_MAX, "yes or no");
        break;
    case OPTION_COUNT:
    case OPTION_SIZE:
    case OPTION_DURATION:
        allowed_number(spec, buffer);
        break;
    case OPTION_CHOICE:
    case OPTION_STRING_LIST:
        for (unsigned i = 0; spec->choices != NULL && spec->choices[i] != NULL && length < OPTION_ALLOWED_MAX; i++) {
            const char *between = i == 0 ? "" : spec->choices[i + 1] ? ", " : " or ";
            length += (size_t)snprintf(buffer + length, OPTION_ALLOWED_MAX - length, "%s%s", between, spec->choices[i]);
        }
        break;
    case OPTION_STRING:
        break;
    }
    return buffer;
}

/* As it stands where the file reads it back like that, else in double quotes. */
static void print_text(const char *text, FILE *out)
{
    bool plain = *text != '\0' && strchr("\"'{=# ", *text) == NULL && strcmp(text, "+=") != 0;
    for (const char *c = text; plain && *c != '\0'; c++) {
        plain = (unsigned char)*c > 0x20 && *c != 0x7f;
    }
    if (plain) {
        (void)fputs(text, out);
        return;
    }
    (void)fputc('"', out);
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == '"' || c == '\\') {
            (void)fprintf(out, "\\%c", c);
        } else if (c < 0x20 || c == 0x7f) {
            (void)fprintf(out, "\\x%02x", c);
        } else {
            (void)fputc(c, out);
        }
    }
    (void)fputc('"', out);
}

/* One value of the option as a line of the file. `prefix` is "" or "#". */
static void print_key(const char *prefix, const struct option_spec *spec, const char *text, FILE *out)
{
    (void)fprintf(out, "%s%s ", prefix, spec->name);
    print_text(text, out);
    (void)fputc('\n', out);
}

static void print_list(const struct option_spec *spec, const struct string_list *list, FILE *out)
{
    for (size_t i = 0; i < list->count; i++) {
        print_key("", spec, list->items[i], out);
    }
    if (list->count == 0) {
        print_key("", spec, "", out);
    }
}

static void print_value(const struct option_spec *spec, const void *values, FILE *out)
{
    const void *field = (const char *)values + spec->offset;
    char number[UNIT_TEXT_MAX];
    switch (spec->type) {
    case OPTION_BOOL:
        print_key("", spec, *(const bool *)field ? "yes" : "no", out);
        break;
    case OPTION_COUNT:
    case OPTION_SIZE:
    case OPTION_DURATION:
        print_key("", spec, print_number(spec, *(const uint64_t *)field, number), out);
        break;
    case OPTION_CHOICE:
        print_key("", spec, spec->choices[*(const unsigned *)field], out);
        break;
    case OPTION_STRING:
        print_key("", spec, *(char *const *)field != NULL ? *(char *const *)field : "", out);
        break;
    case OPTION_STRING_LIST:
        print_list(spec, field, out);
        break;
    }
}

static bool is_set(const struct option_spec *spec, const void *values)
{
    const void *field = (const char *)values + spec->offset;
    if (spec->type == OPTION_STRING) {
        return *(char *const *)field != NULL;
    }
    if (spec->type == OPTION_STRING_LIST) {
        return ((const struct string_list *)field)->count > 0;
    }
    return true;
}

void options_print_effective(const struct option_table *table, const void *values, FILE *out)
{
    for (size_t i = 0; i < table->count; i++) {
        const struct option_spec *spec = &table->specs[i];
        if (spec->flags & OPTION_COMMAND_LINE) {
            continue;
        }
        if ((spec->flags & OPTION_SECRET) != 0 && is_set(spec, values)) {
            print_key("", spec, "***", out);
        } else {
            print_value(spec, values, out);
        }
    }
}

/* Writes words from `column` on, breaking lines before LINE_WIDTH; each further line begins with `indent`. */
static void print_wrapped(const char *text, size_t column, const char *indent, FILE *out)
{
    size_t at = column;
    bool first = true;
    while (*text) {
        size_t length = strcspn(text, " ");
        if (!first && at + 1 + length > LINE_WIDTH) {
            (void)fprintf(out, "\n%s", indent);
            at = strlen(indent);
        } else if (!first) {
            (void)fputc(' ', out);
            at++;
        }
        (void)fwrite(text, 1, length, out);
        at += length;
        text += length + strspn(text + length, " ");
        first = false;
    }
    (void)fputc('\n', out);
}

/* Whether the option belongs under a new heading; one without a group stays under the last. */
static bool starts_group(const struct option_spec *spec, const char **shown)
{
    if (spec->group == NULL || (*shown != NULL && strcmp(spec->group, *shown) == 0)) {
        return false;
    }
    *shown = spec->group;
    return true;
}

/* The sentence with its default and bounds, as --help and the sample show it. */
static void describe(const struct option_spec *spec, bool with_default, char *buffer, size_t buffer_size)
{
    char allowed[OPTION_ALLOWED_MAX] = "";
    if (spec->choices || spec->min != 0 || spec->max != 0) {
        (void)option_allowed(spec, allowed);
    }
    const char *default_text = with_default ? spec->default_text : NULL;
    if (default_text != NULL &&
        (*default_text == '\0' || (spec->type == OPTION_BOOL && strcmp(default_text, "no") == 0))) {
        default_text = NULL; /* what nobody would ask about */
    }
    bool extra = default_text != NULL || allowed[0];
    (void)snprintf(buffer, buffer_size, "%s%s%s%s%s%s%s", spec->help, extra ? " [" : "",
                   default_text != NULL ? "default " : "", default_text != NULL ? default_text : "",
                   default_text != NULL && allowed[0] != '\0' ? "; " : "", allowed, extra ? "]" : "");
}

static void print_help_entry(const char *left, const char *text, FILE *out)
{
    char indent[HELP_COLUMN + 1];
    (void)memset(indent, ' ', HELP_COLUMN);
    indent[HELP_COLUMN] = '\0';
    if (strlen(left) + 2 > HELP_COLUMN) {
        (void)fprintf(out, "%s\n%s", left, indent);
    } else {
        (void)fprintf(out, "%-*s", HELP_COLUMN, left);
    }
    print_wrapped(text, HELP_COLUMN, indent, out);
}

void options_print_help(const struct option_table *table, FILE *out)
{
    (void)fprintf(out, "usage: %s\n", table->usage != NULL ? table->usage : table->program);
    const char *group = NULL;
    for (size_t i = 0; i < table->count; i++) {
        const struct option_spec *spec = &table->specs[i];
        char left[160];
        char text[1024];
        char short_text[8] = "    ";
        if (starts_group(spec, &group)) {
            (void)fprintf(out, "\n%s:\n", spec->group);
        }
        if (spec->short_name) {
            (void)snprintf(short_text, sizeof short_text, "-%c, ", spec->short_name);
        }
        (void)snprintf(left, sizeof left, "  %s--%s%s%s", short_text, spec->name, spec->argument != NULL ? " " : "",
                       spec->argument != NULL ? spec->argument : "");
        describe(spec, true, text, sizeof text);
        print_help_entry(left, text, out);
    }
    (void)fputc('\n', out);
    print_help_entry("  -o KEY=VALUE",
                     "Set any configuration key; every long option above that a file may hold is one.", out);
}

/* The default as a value in the file; where there is none, what the program then holds. */
static const char *default_value(const struct option_spec *spec)
{
    if (spec->default_text != NULL) {
        return spec->default_text;
    }
    switch (spec->type) {
    case OPTION_BOOL:
        return "no";
    case OPTION_COUNT:
    case OPTION_SIZE:
    case OPTION_DURATION:
        return (spec->flags & OPTION_OFF_ALLOWED) != 0 ? "off" : "0";
    case OPTION_CHOICE:
        return spec->choices[0];
    case OPTION_STRING:
    case OPTION_STRING_LIST:
        break;
    }
    return "";
}

void options_print_sample(const struct option_table *table, FILE *out)
{
    (void)fprintf(
        out,
        "# Configuration of %s. Every key is shown at its default, as a comment: remove the '#' before a key\n"
        "# to change it. Sizes: 64K, 1MB. Times: 250ms, 30s, 5m. A list: its key once more for each value.\n",
        table->program);
    const char *group = NULL;
    for (size_t i = 0; i < table->count; i++) {
        const struct option_spec *spec = &table->specs[i];
        if (spec->flags & OPTION_COMMAND_LINE) {
            continue;
        }
        if (starts_group(spec, &group)) {
            (void)fprintf(out, "\n# --- %s ---\n", spec->group);
        }
        char text[1024];
        describe(spec, false, text, sizeof text);
        (void)fputs("\n# ", out);
        print_wrapped(text, 2, "# ", out);
        print_key("#", spec, default_value(spec), out);
    }
}
