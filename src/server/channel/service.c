#include "server/channel/service.h"

#include <stdlib.h>
#include <string.h>

#include "sshecho/units.h"
#include "sshecho/version.h"

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

static int parse_misbehaviour(const char *words, struct service *out)
{
    char complaint[160];
    out->misbehaviour = malloc(sizeof *out->misbehaviour);
    if (out->misbehaviour == NULL) {
        return -1;
    }
    if (misbehave_parse(words, out->misbehaviour, complaint, sizeof complaint) != 0) {
        service_free(out);
        out->kind = SERVICE_COMPLAIN;
        out->text = strdup(complaint);
        return out->text != NULL ? 0 : -1;
    }
    return 0;
}

int service_parse(const char *words, bool may_misbehave, struct service *out)
{
    const char *argument;
    *out = (struct service){.kind = SERVICE_ECHO};
    if (words == NULL) {
        return 0;
    }
    words += strspn(words, " ");
    argument = argument_after(words, "discard");
    if (argument != NULL && *argument == '\0') {
        out->kind = SERVICE_DISCARD;
        return 0;
    }
    argument = argument_after(words, "chargen");
    if (argument != NULL) {
        out->kind = SERVICE_CHARGEN;
        out->left_bytes = UINT64_MAX;
        if (*argument != '\0' && !units_parse_size_bytes(argument, &out->left_bytes)) {
            out->kind = SERVICE_COMPLAIN;
            out->text = strdup("chargen: usage: chargen [BYTES], e.g. chargen 10M\n");
            return out->text != NULL ? 0 : -1;
        }
        return 0;
    }
    if (strcmp(words, "terminal") == 0) {
        out->kind = SERVICE_TERMINAL;
        return 0;
    }
    if (strcmp(words, "report") == 0 || strcmp(words, "report text") == 0) {
        out->kind = SERVICE_REPORT;
        out->for_people = words[strlen("report")] != '\0';
        return 0;
    }
    return may_misbehave && misbehave_understands(words) ? parse_misbehaviour(words, out) : 0;
}

void service_free(struct service *service)
{
    free(service->text);
    free(service->misbehaviour);
    *service = (struct service){.kind = SERVICE_NONE};
}

const char *service_name(const struct service *service)
{
    static const char *const names[] = {
        [SERVICE_ECHO] = "echo",     [SERVICE_DISCARD] = "discard",   [SERVICE_CHARGEN] = "chargen",
        [SERVICE_REPORT] = "report", [SERVICE_TERMINAL] = "terminal", [SERVICE_COMPLAIN] = "complaint"};
    return service->misbehaviour != NULL ? "test-bench" : names[service->kind];
}

bool service_generates(const struct service *service)
{
    return service->kind == SERVICE_CHARGEN || service->kind == SERVICE_REPORT || service->kind == SERVICE_COMPLAIN;
}

const char *service_chargen_at(uint64_t position_bytes)
{
    static char pattern[PERIOD_BYTES + LIBSSH_PACKET_BYTES];
    if (pattern[0] == '\0') {
        for (size_t i = 0; i < sizeof pattern; i++) {
            size_t line = (i / LINE_BYTES) % RING;
            size_t column = i % LINE_BYTES;
            pattern[i] = column == LINE ? '\r' : column == LINE + 1 ? '\n' : (char)(' ' + (line + column) % RING);
        }
    }
    return pattern + position_bytes % PERIOD_BYTES;
}
