#include "server/service.h"

#include <string.h>

#include "sshecho/units.h"

/* RFC 864: lines of 72 printing characters, each line starting one character further in the ring of 95, ending in CR
 * LF. */
#define RING 95
#define LINE 72
#define LINE_BYTES (LINE + 2)
#define PERIOD_BYTES (RING * LINE_BYTES)

static const char *argument_after(const char *command, const char *word)
{
    size_t length = strlen(word);
    if (strncmp(command, word, length) != 0 || (command[length] != '\0' && command[length] != ' ')) {
        return NULL;
    }
    command += length;
    while (*command == ' ') {
        command++;
    }
    return command;
}

void service_parse(const char *command, struct service *out)
{
    const char *argument;
    *out = (struct service){.kind = SERVICE_ECHO};
    if (command == NULL) {
        return;
    }
    while (*command == ' ') {
        command++;
    }
    argument = argument_after(command, "discard");
    if (argument != NULL && *argument == '\0') {
        out->kind = SERVICE_DISCARD;
        return;
    }
    argument = argument_after(command, "chargen");
    if (argument == NULL) {
        return;
    }
    out->kind = SERVICE_CHARGEN;
    out->left_bytes = UINT64_MAX;
    if (*argument != '\0' && !units_parse_size_bytes(argument, &out->left_bytes)) {
        out->kind = SERVICE_COMPLAIN;
        out->complaint = "chargen: usage: chargen [BYTES], e.g. chargen 10M\n";
    }
}

const char *service_chargen_at(uint64_t position_bytes)
{
    static char pattern[PERIOD_BYTES + SERVICE_CHUNK_BYTES];
    if (pattern[0] == '\0') {
        for (size_t i = 0; i < sizeof pattern; i++) {
            size_t line = (i / LINE_BYTES) % RING;
            size_t column = i % LINE_BYTES;
            pattern[i] = column == LINE ? '\r' : column == LINE + 1 ? '\n' : (char)(' ' + (line + column) % RING);
        }
    }
    return pattern + position_bytes % PERIOD_BYTES;
}
