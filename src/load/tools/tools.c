#include "load/tools/tools.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int tools_complain(int code, const char *text)
{
    (void)fprintf(stderr, "sshload: %s\n", text);
    return code;
}

int tools_load(const struct string_list *files, const char *command, struct result **out)
{
    char error[512];
    struct result *results = calloc(files->count, sizeof *results);
    *out = results;
    if (results == NULL) {
        return tools_complain(TOOLS_WRONG, "out of memory");
    }
    for (size_t i = 0; i < files->count; i++) {
        if (result_load(&results[i], files->items[i], error, sizeof error) != 0) {
            return tools_complain(TOOLS_USAGE, error);
        }
        if (strcmp(results[i].mode, results[0].mode) != 0) {
            (void)snprintf(error, sizeof error, "%s: %s is of mode %s, %s of mode %s: they do not fit in one picture",
                           command, files->items[0], results[0].mode, files->items[i], results[i].mode);
            return tools_complain(TOOLS_USAGE, error);
        }
    }
    return TOOLS_OK;
}

void tools_free(struct result *results, size_t count)
{
    for (size_t i = 0; results != NULL && i < count; i++) {
        result_free(&results[i]); /* harmless for one that was not read */
    }
    free(results);
}
