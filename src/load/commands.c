#include "load/commands.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "load/campaign/agents.h"
#include "load/campaign/campaign.h"
#include "load/pictures/pictures.h"
#include "load/tools/tools.h"

/* Room for the values of any of the tables. */
union values {
    max_align_t align;
    char bytes[256];
};

static const struct {
    const char *name;
    const struct option_table *table;
    int (*run)(const void *values, const struct string_list *files);
    const char *needs;
} commands[] = {
    {"compare", &compare_option_table, compare_run, "two results"},
    {"merge", &merge_option_table, merge_run, "at least one result"},
    {"plot", &plot_option_table, plot_run, "at least one result"},
    {"ab", &ab_option_table, NULL, NULL},
    {"find", &find_option_table, NULL, NULL},
    {"run", &scenario_option_table, scenario_run, "a scenario file"},
    {"report", &page_option_table, page_run, "at least one result"},
    {"clock", NULL, NULL, NULL},
};
#define COMMANDS (sizeof commands / sizeof commands[0])

bool commands_know(const char *word)
{
    for (size_t i = 0; i < COMMANDS; i++) {
        if (strcmp(commands[i].name, word) == 0) {
            return true;
        }
    }
    return false;
}

/* Whether the values ask for help: each table ends with it. */
static bool wants_help(const struct option_table *table, const void *values)
{
    const struct option_spec *help = options_find(table, "help");
    return help != NULL && *(const bool *)((const char *)values + help->offset);
}

int commands_run(int argc, char **argv)
{
    size_t which = 0;
    while (which + 1 < COMMANDS && strcmp(commands[which].name, argv[0]) != 0) {
        which++;
    }
    const struct option_table *table = commands[which].table;
    if (table == &ab_option_table || table == &find_option_table) { /* most of their words are a run's */
        return table == &ab_option_table ? ab_run(argc, argv) : find_run(argc, argv);
    }
    if (table == NULL) { /* takes no words: it is asked by another sshload (--agents) */
        return agents_clock();
    }
    union values values = {0};
    struct option_state given = {0};
    struct option_error error = {.text = ""};
    struct string_list files = {0};
    static char output[] = "--output";
    static char border[] = TOOLS_BORDER;
    char **arguments = calloc((size_t)argc + 1, sizeof *arguments);
    if (arguments == NULL) {
        return tools_complain(TOOLS_WRONG, "out of memory");
    }
    for (int i = 0; i < argc; i++) {
        /* Here -o is the output file, as in most programs that write one. */
        arguments[i] = options_find(table, "output") != NULL && strcmp(argv[i], "-o") == 0 ? output
                       : table == &compare_option_table && strcmp(argv[i], "--") == 0      ? border
                                                                                           : argv[i];
    }
    int code;
    if (options_init(table, &values, &given, &error) != 0 ||
        options_parse_arguments(table, &values, &given, argc, arguments, &files, &error) != 0) {
        code = tools_complain(TOOLS_USAGE, error.text);
    } else if (wants_help(table, &values)) {
        options_print_help(table, stdout);
        code = TOOLS_OK;
    } else if (files.count == 0) {
        (void)snprintf(error.text, sizeof error.text, "%s: needs %s (FILE.json, written with --json)", argv[0],
                       commands[which].needs);
        code = tools_complain(TOOLS_USAGE, error.text);
    } else {
        code = commands[which].run(&values, &files);
    }
    options_free(table, &values, &given);
    free(files.items);
    free(arguments);
    return code;
}
