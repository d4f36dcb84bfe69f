/* Inside the room of settings.h: a file of users, one a line, `NAME:PASSWORD` or `NAME:KEYFILE`. */
#include "load/settings_parts.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define USERS_MOST 1000000U
#define ALLOWED "allowed: NAME:PASSWORD, or NAME:KEYFILE with a path that begins with /, ./ or ~/"

static bool is_path(const char *text)
{
    return text[0] == '/' || strncmp(text, "./", 2) == 0 || strncmp(text, "~/", 2) == 0;
}

/* ssh_directory is ~/.ssh. */
static char *expand(const struct settings *settings, const char *path)
{
    char *out = NULL;
    if (path[0] != '~') {
        return strdup(path);
    }
    int home = (int)(strlen(settings->ssh_directory) - strlen("/.ssh"));
    return asprintf(&out, "%.*s%s", home, settings->ssh_directory, path + 1) < 0 ? NULL : out;
}

static int add_user(struct settings *settings, char *line, const char **why)
{
    char *colon = strchr(line, ':');
    if (colon == NULL || colon == line || colon[1] == '\0' || (size_t)(colon - line) >= sizeof settings->users->name) {
        *why = colon == NULL      ? "has no colon; " ALLOWED
               : colon == line    ? "names no user; " ALLOWED
               : colon[1] == '\0' ? "has neither password nor key; " ALLOWED
                                  : "has a name longer than 63 bytes";
        return -1;
    }
    *colon = '\0';
    if ((settings->user_count & (settings->user_count - 1)) == 0) { /* room for twice as many */
        size_t capacity = settings->user_count == 0 ? 1 : settings->user_count * 2;
        struct load_user *larger = realloc(settings->users, capacity * sizeof *larger);
        *why = "out of memory";
        if (larger == NULL) {
            return -1;
        }
        settings->users = larger;
    }
    struct load_user *user = &settings->users[settings->user_count];
    *user = (struct load_user){0};
    memcpy(user->name, line, (size_t)(colon - line)); /* ended by the zeroes that are there */
    char **secret = is_path(colon + 1) ? &user->identity : &user->password;
    *secret = secret == &user->identity ? expand(settings, colon + 1) : strdup(colon + 1);
    if (*secret == NULL) {
        return -1;
    }
    settings->user_count++;
    return 0;
}

int settings_take_users(struct settings *settings, struct option_error *error)
{
    const char *path = settings->options.users;
    char line[2048];
    if (path == NULL) {
        return 0;
    }
    if (settings->options.user != NULL) {
        return settings_fail(error, "--users", "names the users already; --user has no meaning beside it");
    }
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return option_fail(error, NULL, NULL, "%.250s: %s", path, strerror(errno));
    }
    int rc = 0;
    for (unsigned number = 1; rc == 0 && fgets(line, sizeof line, file) != NULL; number++) {
        const char *why = "is longer than 2046 bytes";
        bool whole = strchr(line, '\n') != NULL || feof(file) != 0;
        line[strcspn(line, "\r\n")] = '\0';
        if (line[0] == '\0' || line[0] == '#') {
            continue;
        }
        if (settings->user_count == USERS_MOST) {
            why = "is one user too many (at most 1000000)";
            whole = false;
        }
        if (!whole || add_user(settings, line, &why) != 0) {
            rc = option_fail(error, NULL, NULL, "%.250s:%u: %s", path, number, why);
        }
    }
    bool bad = ferror(file) != 0;
    int reason = errno;
    (void)fclose(file);
    explicit_bzero(line, sizeof line);
    if (rc == 0 && (bad || settings->user_count == 0)) {
        return option_fail(error, NULL, NULL, "%.250s: %s", path, bad ? strerror(reason) : "names no user; " ALLOWED);
    }
    return rc;
}

void settings_free_users(struct settings *settings)
{
    for (size_t i = 0; i < settings->user_count; i++) {
        struct load_user *user = &settings->users[i];
        if (user->password != NULL) {
            explicit_bzero(user->password, strlen(user->password));
        }
        free(user->password);
        free(user->identity);
    }
    free(settings->users);
    settings->users = NULL;
    settings->user_count = 0;
}
