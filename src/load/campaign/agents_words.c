/* Inside the room of agents.h: what is said to an agent's shell, and what it has said. */
#include "load/campaign/agents_parts.h"
#include "load/tally/printable.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int agents_quote(char **text, const char *word)
{
    size_t length = *text == NULL ? 0 : strlen(*text);
    char *longer = realloc(*text, length + 4 * strlen(word) + 4);
    if (longer == NULL) {
        return -1;
    }
    *text = longer;
    char *to = longer + length;
    if (length > 0) {
        *to++ = ' ';
    }
    *to++ = '\'';
    for (; *word != '\0'; word++) {
        if (*word == '\'') {
            memcpy(to, "'\\''", 4);
            to += 4;
        } else {
            *to++ = *word;
        }
    }
    *to++ = '\'';
    *to = '\0';
    return 0;
}

/* All but its progress, ended by NUL and owned; NULL out of memory. */
static char *complaints_of(const struct agent *agent)
{
    off_t left = lseek(agent->complaints, 0, SEEK_END) - agent->read_to;
    size_t size = left > 0 ? (size_t)left : 0;
    char *text = calloc(agent->said_length + size + 1, 1);
    if (text != NULL && agent->said != NULL) {
        memcpy(text, agent->said, agent->said_length);
    }
    if (text != NULL && size > 0 && pread(agent->complaints, text + agent->said_length, size, agent->read_to) < 0) {
        text[agent->said_length] = '\0';
    }
    return text;
}

void agents_last_words(const struct agent *agent, char *out, size_t size)
{
    char *text = complaints_of(agent);
    char *rest = text;
    const char *last = "";
    for (char *line = strtok_r(text == NULL ? NULL : text, "\r\n", &rest); text != NULL && line != NULL;
         line = strtok_r(NULL, "\r\n", &rest)) {
        last = line;
    }
    (void)printable_copy(out, size, last);
    free(text);
}

void agents_print_complaints(const struct agent *agent)
{
    char *text = complaints_of(agent);
    char *rest = text;
    for (char *line = text == NULL ? NULL : strtok_r(text, "\r\n", &rest); line != NULL;
         line = strtok_r(NULL, "\r\n", &rest)) {
        char shown[512];
        (void)fprintf(stderr, "%s: %s\n", agent->host, printable_copy(shown, sizeof shown, line));
    }
    free(text);
}
