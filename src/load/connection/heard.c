#include "load/connection/heard.h"

#include "load/tally/printable.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORDS_MAX 120 /* with its end; a line or two of a shell */

void heard_add(struct heard *heard, const void *data, size_t size, int64_t now_ns)
{
    if (heard->words == NULL) {
        heard->words = calloc(1, WORDS_MAX);
        heard->from_ns = now_ns;
    }
    if (heard->words == NULL) {
        return;
    }
    size_t had = strlen(heard->words);
    size_t room = WORDS_MAX - 1 - had;
    memcpy(heard->words + had, data, size < room ? size : room);
}

void heard_forget(struct heard *heard)
{
    free(heard->words);
    *heard = (struct heard){0};
}

void heard_append(const struct heard *heard, char *text, size_t text_size)
{
    char shown[4 * WORDS_MAX];
    size_t length = strlen(text);
    if (heard->words != NULL) {
        (void)snprintf(text + length, text_size - length, "; the peer wrote \"%s\"",
                       printable_copy(shown, sizeof shown, heard->words));
    }
}
