/* Inside the room of settings.h: where connections go, and where they come from. */
#include "load/settings_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int parse_target(const struct settings *settings, const char *text, struct target *out,
                        struct option_error *error)
{
    char problem[256];
    const char *at = strrchr(text, '@');
    if (at != NULL) {
        if (settings->options.users != NULL) {
            return settings_fail(error, text, "--users names the users; a target gives none then");
        }
        size_t length = (size_t)(at - text);
        if (length == 0 || length >= sizeof out->user) {
            return settings_fail(error, text, "the user name is empty or longer than 63 bytes");
        }
        memcpy(out->user, text, length);
        out->user[length] = '\0';
    } else {
        (void)snprintf(out->user, sizeof out->user, "%s", settings->user);
    }
    const char *where = at != NULL ? at + 1 : text;
    if (*where == '\0') {
        return settings_fail(error, text, "no host (allowed: [USER@]HOST[:PORT])");
    }
    if (net_parse(where, 22, true, &out->address, problem, sizeof problem) != 0) {
        return settings_fail(error, text, problem);
    }
    if (net_port(&out->address) == 0) {
        return settings_fail(error, text, "port 0 cannot be connected to");
    }
    /* The bare host, which known_hosts is asked for. */
    const char *end = where + strlen(where);
    if (*where == '[') {
        where++;
        end = strchr(where, ']');
    } else if (strchr(where, ':') == strrchr(where, ':') && strchr(where, ':') != NULL) {
        end = strchr(where, ':');
    }
    (void)snprintf(out->host, sizeof out->host, "%.*s", end == NULL ? 0 : (int)(end - where), where);
    (void)net_print(&out->address, out->text, sizeof out->text);
    const struct load_options *o = &settings->options;
    bool asked = o->known_hosts != NULL || o->host_key != NULL;
    out->insecure = o->insecure || (!asked && net_is_loopback(&out->address));
    return 0;
}

int settings_resolve_targets(struct settings *settings, const struct string_list *targets, struct option_error *error)
{
    if (targets->count == 0) {
        return settings_fail(error, "sshload",
                             "no target: say which server to load, e.g. sshload 127.0.0.1:2222 (see --help)");
    }
    settings->targets = calloc(targets->count, sizeof *settings->targets);
    if (settings->targets == NULL) {
        return settings_fail(error, "sshload", "out of memory");
    }
    for (size_t i = 0; i < targets->count; i++) {
        if (parse_target(settings, targets->items[i], &settings->targets[i], error) != 0) {
            return -1;
        }
        settings->target_count++;
    }
    for (size_t i = 0; i < settings->options.bind.count; i++) {
        char problem[256];
        if (net_sources_add(&settings->sources, settings->options.bind.items[i], problem, sizeof problem) != 0) {
            return settings_fail(error, "--bind", problem);
        }
    }
    return 0;
}
