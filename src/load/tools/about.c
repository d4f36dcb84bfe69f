/* Inside the room of result.h: the part that describes the run rather than its outcome. */
#include "load/result/result.h"

#include "sshecho/log.h"
#include "sshecho/pump.h"
#include "sshecho/version.h"

#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

static json_t *text_json(const char *text)
{
    json_t *value = json_string(text); /* NULL for what is not UTF-8 */
    return value != NULL ? value : json_string("?");
}

static json_t *list_json(char *const *items, size_t count)
{
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++) {
        (void)json_array_append_new(list, text_json(items[i]));
    }
    return list;
}

static json_t *option_json(const struct option_spec *spec, const struct load_options *options)
{
    const char *at = (const char *)options + spec->offset;
    switch (spec->type) {
    case OPTION_BOOL:
        return json_boolean(*(const bool *)at);
    case OPTION_COUNT:
    case OPTION_SIZE:
    case OPTION_DURATION:
        return json_integer((json_int_t) * (const uint64_t *)(const void *)at);
    case OPTION_CHOICE:
        return json_string(spec->choices[*(const unsigned *)(const void *)at]);
    case OPTION_STRING: {
        const char *text = *(char *const *)(const void *)at;
        return text == NULL ? json_null() : text_json(text);
    }
    case OPTION_STRING_LIST: {
        const struct string_list *list = (const struct string_list *)(const void *)at;
        return list_json(list->items, list->count);
    }
    }
    return json_null();
}

/* Every option with its value in force; durations in us, sizes in bytes. */
static json_t *options_json(const struct settings *settings)
{
    const struct load_options *options = &settings->options;
    json_t *all = json_object();
    for (size_t i = 0; i < load_option_table.count; i++) {
        const struct option_spec *spec = &load_option_table.specs[i];
        if ((spec->flags & OPTION_COMMAND_LINE) == 0) {
            (void)json_object_set_new(all, spec->name, option_json(spec, options));
        }
    }
    if (settings->rate.count == 0 || plan_rate_plain(&settings->rate) > 0) { /* a number as long as it is one */
        (void)json_object_set_new(all, "rate", json_integer((json_int_t)plan_rate_plain(&settings->rate)));
    }
    return all;
}

/* One line of a /proc file: what follows `key`, or the first line when key is NULL. */
static void proc_text(const char *path, const char *key, char *out, size_t size)
{
    char line[512];
    out[0] = '\0';
    FILE *file = fopen(path, "re");
    while (file != NULL && out[0] == '\0' && fgets(line, sizeof line, file) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        if (key == NULL) {
            (void)snprintf(out, size, "%.*s", (int)size - 1, line);
        } else if (strncmp(line, key, strlen(key)) == 0) {
            const char *colon = strchr(line, ':');
            const char *value = colon == NULL ? "" : colon + 1 + strspn(colon + 1, " \t");
            (void)snprintf(out, size, "%.*s", (int)size - 1, value);
        }
    }
    if (file != NULL) {
        (void)fclose(file);
    }
}

static json_t *environment_json(void)
{
    struct utsname name;
    struct rlimit files = {0};
    char cpu[256];
    char ports[64];
    (void)uname(&name);
    (void)getrlimit(RLIMIT_NOFILE, &files);
    proc_text("/proc/cpuinfo", "model name", cpu, sizeof cpu);
    proc_text("/proc/sys/net/ipv4/ip_local_port_range", NULL, ports, sizeof ports);
    return json_pack("{s:o, s:s, s:s, s:s, s:I, s:o, s:I, s:o}", "host", text_json(name.nodename), "system",
                     name.sysname, "kernel", name.release, "machine", name.machine, "cpus",
                     (json_int_t)sysconf(_SC_NPROCESSORS_ONLN), "cpu", text_json(cpu), "fd_limit",
                     (json_int_t)files.rlim_cur, "local_ports", text_json(ports));
}

json_t *result_about(const struct settings *settings, int argc, char **argv)
{
    json_t *targets = json_array();
    for (size_t i = 0; i < settings->target_count; i++) {
        (void)json_array_append_new(targets, json_string(settings->targets[i].text));
    }
    return json_pack("{s:{s:s, s:s, s:s, s:b}, s:o, s:o, s:o, s:o}", "program", "version", SSHECHO_VERSION, "libssh",
                     version_libssh(), "libev", version_libev(), "batching", pump_batching(), "command",
                     list_json(argv, (size_t)argc), "options", options_json(settings), "targets", targets,
                     "environment", environment_json());
}
