#include "load/tools/words.h"

#include <stdlib.h>
#include <string.h>

static const struct option_spec *find_short(const struct option_table *table, char letter)
{
    for (size_t i = 0; i < table->count; i++) {
        if (table->specs[i].short_name == letter) {
            return &table->specs[i];
        }
    }
    return NULL;
}

/* The option that a name is of, which ends at '=' or with the text; also if it is negated. */
static const struct option_spec *find_long(const struct option_table *table, const char *name)
{
    char text[128];
    size_t length = strcspn(name, "=");
    if (length >= sizeof text) {
        return NULL;
    }
    memcpy(text, name, length);
    text[length] = '\0';
    const struct option_spec *spec = options_find(table, text);
    if (spec == NULL && strncmp(text, "no-", 3) == 0) {
        spec = options_find(table, text + 3);
        spec = spec != NULL && spec->type == OPTION_BOOL ? spec : NULL;
    }
    return spec;
}

static void push(struct words *side, char *word)
{
    side->items[side->count++] = word;
}

/* "-q". */
static char *short_word(char letter)
{
    static char words[256][3];
    char *word = words[(unsigned char)letter];
    word[0] = '-';
    word[1] = letter;
    return word;
}

/* Words with letters after one dash, of which each is an option until one takes a value. Returns how many of the words
 * were taken. */
static int sort_short(const struct option_table *table, int left, char **argv, struct words_line *out)
{
    for (char *letter = argv[0] + 1; *letter != '\0'; letter++) {
        const struct option_spec *ours = find_short(table, *letter);
        const struct option_spec *spec = ours != NULL ? ours : find_short(&load_option_table, *letter);
        bool pair = spec == NULL && *letter == 'o';
        char *value = letter[1] != '\0' ? letter + 1 : left > 1 ? argv[1] : NULL;
        if (pair && value != NULL) {
            ours = find_long(table, value);
        }
        struct words *side = ours != NULL ? &out->ours : &out->runs;
        if (spec != NULL && spec->type == OPTION_BOOL) {
            push(side, short_word(*letter));
            continue;
        }
        bool whole = letter == argv[0] + 1;
        push(side, whole ? argv[0] : short_word(*letter));
        if (letter[1] != '\0') {
            if (!whole) {
                push(side, value);
            }
            return 1;
        }
        if (value != NULL && (spec != NULL || pair)) {
            push(side, value);
            return 2;
        }
    }
    return 1;
}

static int sort_long(const struct option_table *table, int left, char **argv, struct words_line *out)
{
    const struct option_spec *ours = find_long(table, argv[0] + 2);
    const struct option_spec *spec = ours != NULL ? ours : find_long(&load_option_table, argv[0] + 2);
    struct words *side = ours != NULL ? &out->ours : &out->runs;
    push(side, argv[0]);
    if (spec == NULL || spec->type == OPTION_BOOL || strchr(argv[0], '=') != NULL || left < 2) {
        return 1;
    }
    push(side, argv[1]);
    return 2;
}

int words_sort(const struct option_table *table, int argc, char **argv, struct words_line *out)
{
    size_t most = 2;
    for (int i = 0; i < argc; i++) {
        most += 1 + strlen(argv[i]); /* each letter may be an option */
    }
    *out = (struct words_line){.ours.items = calloc(most, sizeof(char *)), .runs.items = calloc(most, sizeof(char *))};
    if (out->ours.items == NULL || out->runs.items == NULL) {
        return -1;
    }
    push(&out->ours, argv[0]);
    for (int i = 1; i < argc;) {
        if (strcmp(argv[i], "--") == 0) { /* no option is behind it */
            while (i < argc) {
                push(&out->runs, argv[i++]);
            }
        } else if (argv[i][0] != '-' || argv[i][1] == '\0') {
            push(&out->runs, argv[i++]);
        } else if (argv[i][1] == '-') {
            i += sort_long(table, argc - i, argv + i, out);
        } else {
            i += sort_short(table, argc - i, argv + i, out);
        }
    }
    return 0;
}

void words_free(struct words_line *line)
{
    free(line->ours.items);
    free(line->runs.items);
    *line = (struct words_line){0};
}

int words_read_run(const struct words *runs, struct load_options *options, struct option_state *given,
                   struct string_list *targets, struct option_error *error)
{
    static char name[] = "sshload";
    char **argv = calloc(runs->count + 2, sizeof *argv);
    *options = (struct load_options){0};
    *given = (struct option_state){0};
    if (argv == NULL) {
        return option_fail(error, NULL, NULL, "out of memory");
    }
    argv[0] = name;
    memcpy(argv + 1, runs->items, runs->count * sizeof *argv);
    int rc = options_init(&load_option_table, options, given, error);
    if (rc == 0) {
        rc = options_parse_arguments(&load_option_table, options, given, (int)runs->count + 1, argv, targets, error);
    }
    free(argv);
    return rc;
}
