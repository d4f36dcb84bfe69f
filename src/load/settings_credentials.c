/* Inside the room of settings.h: what sshload logs in with. */
#include "load/settings_parts.h"

#include <errno.h>
#include <libssh/libssh.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const auth_names[AUTH_METHODS] = {"none", "publickey", "agent", "password", "keyboard-interactive"};

int settings_take_password(struct settings *settings, struct option_error *error)
{
    const struct load_options *o = &settings->options;
    char line[1024] = "";
    if ((o->password_file != NULL) + (o->password_env != NULL) + o->ask_password > 1) {
        return settings_fail(error, "sshload", "--password-file, --password-env and --ask-password exclude each other");
    }
    if (o->password_file != NULL) {
        FILE *file = fopen(o->password_file, "re");
        if (file == NULL) {
            return settings_fail(error, o->password_file, strerror(errno));
        }
        bool got = fgets(line, sizeof line, file) != NULL;
        (void)fclose(file);
        if (!got) {
            return settings_fail(error, o->password_file, "is empty; its first line must be the password");
        }
        line[strcspn(line, "\r\n")] = '\0';
    } else if (o->password_env != NULL) {
        const char *value = getenv(o->password_env);
        if (value == NULL) {
            return settings_fail(error, o->password_env, "is not set in the environment (--password-env)");
        }
        (void)snprintf(line, sizeof line, "%s", value);
    } else if (o->ask_password) {
        if (ssh_getpass("Password: ", line, sizeof line, 0, 0) != 0) {
            return settings_fail(error, "--ask-password", "no password could be read from the terminal");
        }
    } else {
        return 0;
    }
    settings->password = strdup(line);
    explicit_bzero(line, sizeof line);
    return settings->password == NULL ? settings_fail(error, "sshload", "out of memory") : 0;
}

int settings_choose_auth(struct settings *settings, struct option_error *error)
{
    const struct load_options *o = &settings->options;
    bool keys = o->identity.count > 0;
    bool passwords = settings->password != NULL;
    for (size_t i = 0; i < settings->user_count; i++) {
        keys = keys || settings->users[i].identity != NULL;
        passwords = passwords || settings->users[i].password != NULL;
    }
    enum auth_method *methods = settings->auth;
    size_t count = 0;
    for (size_t i = 0; i < o->auth.count; i++) {
        int method = 0;
        while (method < AUTH_METHODS && strcmp(auth_names[method], o->auth.items[i]) != 0) {
            method++;
        }
        if (method == AUTH_METHODS || count == AUTH_METHODS) {
            return settings_fail(error, "--auth",
                                 "allowed: none, publickey, agent, password, keyboard-interactive, each once");
        }
        methods[count++] = (enum auth_method)method;
    }
    if (count == 0) {
        methods[count++] = AUTH_NONE;
        if (keys) {
            methods[count++] = AUTH_PUBLICKEY;
        } else if (!passwords && getenv("SSH_AUTH_SOCK") != NULL) {
            methods[count++] = AUTH_AGENT;
        }
        if (passwords) {
            methods[count++] = AUTH_PASSWORD;
            methods[count++] = AUTH_KEYBOARD;
        }
    }
    settings->auth_count = count;
    for (size_t i = 0; i < count; i++) {
        if (methods[i] == AUTH_PUBLICKEY && !keys) {
            return settings_fail(error, "--auth", "publickey needs --identity, or --users with keys");
        }
        if ((methods[i] == AUTH_PASSWORD || methods[i] == AUTH_KEYBOARD) && !passwords) {
            return settings_fail(
                error, "--auth",
                "password and keyboard-interactive need --password-file, --password-env, --ask-password or --users");
        }
    }
    return 0;
}
