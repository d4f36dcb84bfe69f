#include "server/login/authorized_keys.h"

#include <libssh/libssh.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define OPTION_NAME_MAX 40 /* of what is quoted in a complaint */

static const struct {
    const char *name;
    bool has_value;
} honoured[] = {
    {"restrict", false},
    {"no-port-forwarding", false},
    {"no-X11-forwarding", false},
    {"no-pty", false},
    {"no-agent-forwarding", false},
    {"no-user-rc", false},
    {"pty", false},
    {"port-forwarding", false},
    {"X11-forwarding", false},
    {"user-rc", false},
    {"agent-forwarding", false},
    {"permitopen", true},
    {"permitlisten", true},
    {"environment", true},
    {"tunnel", true},
    {"no-touch-required", false},
};

static bool is_type(char *word)
{
    char *end = word + strcspn(word, " \t");
    char kept = *end;
    *end = '\0';
    bool known = ssh_key_type_from_name(word) != SSH_KEYTYPE_UNKNOWN;
    *end = kept;
    return known;
}

static const char *refuse(const char *name, size_t length)
{
    static char text[OPTION_NAME_MAX + 200];
    (void)snprintf(text, sizeof text,
                   "option \"%.*s\" is not understood here, and skipping it would let in more than it says: "
                   "remove the option to do without it, or the line",
                   (int)(length < OPTION_NAME_MAX ? length : OPTION_NAME_MAX), name);
    return text;
}

static bool is_honoured(const char *name, size_t length, bool has_value)
{
    for (size_t i = 0; i < sizeof honoured / sizeof honoured[0]; i++) {
        if (strlen(honoured[i].name) == length && strncasecmp(honoured[i].name, name, length) == 0) {
            return honoured[i].has_value == has_value;
        }
    }
    return false;
}

/* Behind the closing quote, a backslash taking a quote along; NULL where there is none. */
static char *skip_quoted(char *at)
{
    for (at++; *at != '"'; at++) {
        if (*at == '\0') {
            return NULL;
        }
        at += at[0] == '\\' && at[1] == '"' ? 1 : 0;
    }
    return at + 1;
}

char *authorized_keys_find_type(char *line, const char **what)
{
    if (is_type(line)) {
        return line;
    }
    char *at = line;
    for (;;) {
        const char *name = at;
        at += strcspn(at, "=, \t\"");
        size_t length = (size_t)(at - name);
        bool has_value = *at == '=';
        if (has_value && at[1] == '"') {
            at = skip_quoted(at + 1);
        } else if (has_value) {
            at +=
                strcspn(at, ", \t"); /* sshd wants quotes; whoever forgot them is told about the option all the same */
        }
        if (at == NULL || (*at != ',' && *at != ' ' && *at != '\t' && *at != '\0')) {
            *what = "quotes of an option do not match";
            return NULL;
        }
        bool last = *at != ',';
        bool alone = last && name == line && !has_value;
        if (alone && !is_honoured(name, length, false) && (*at == '\0' || !is_type(at + strspn(at, " \t")))) {
            *what = "no public key of a known type"; /* a single word before what is no key: not an option at all */
            return NULL;
        }
        if (!is_honoured(name, length, has_value)) {
            *what = refuse(name, length);
            return NULL;
        }
        if (last) {
            break;
        }
        at++;
    }
    at += strspn(at, " \t");
    if (!is_type(at)) {
        *what = "no public key of a known type behind its options";
        return NULL;
    }
    return at;
}
