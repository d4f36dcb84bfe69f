/* Fuzzes options_parse_arguments: the input is cut into arguments at each line break, so that `-o`, its value, long
 * options and short letters all come up. */
#include <stdint.h>
#include <stdio.h>

#include "fuzz_table.h"

#define ARGUMENTS_MAX 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char program[] = "fuzz";
    char *argv[ARGUMENTS_MAX] = {program};
    int argc = 1;
    char *text = malloc(size + 1);
    if (!text)
        return 0;
    if (size > 0)
        (void)memcpy(text, data, size);
    text[size] = '\0';
    for (char *next = text; next && argc < ARGUMENTS_MAX;)
        argv[argc++] = strsep(&next, "\n");

    struct fuzz_values values;
    struct option_state state;
    struct option_error error;
    struct string_list rest;
    if (options_init(&fuzz_table, &values, &state, &error) != 0)
        abort();
    int rc = options_parse_arguments(&fuzz_table, &values, &state, argc, argv, &rest, &error);
    fuzz_check(&values, rc, &error);
    if (rest.count >= (size_t)argc)
        abort();
    free(rest.items);
    options_free(&fuzz_table, &values, &state);
    free(text);
    return 0;
}
