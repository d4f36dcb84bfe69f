/*
 * settings_parts.h - inside the room of settings.h: its steps, one file each.
 *
 * settings_table.c has the options, settings_targets.c where to and from, settings_credentials.c and settings_users.c
 * who we are; settings.c puts them together and checks what no single option can. Each returns 0, or -1 with one line
 * in error.
 */
#ifndef LOAD_SETTINGS_PARTS_H
#define LOAD_SETTINGS_PARTS_H

#include "load/settings.h"

/* The targets and the local addresses; settings->user is known. */
int settings_resolve_targets(struct settings *settings, const struct string_list *targets, struct option_error *error);
int settings_take_password(struct settings *settings, struct option_error *error);
/* --users; ssh_directory is known. Freed by settings_free_users. */
int settings_take_users(struct settings *settings, struct option_error *error);
void settings_free_users(struct settings *settings);
/* The login methods; password and users have been taken. */
int settings_choose_auth(struct settings *settings, struct option_error *error);

/* Names what is wrong, and where; returns -1. */
static inline int settings_fail(struct option_error *error, const char *where, const char *what)
{
    return option_fail(error, NULL, where, "%s", what);
}

#endif
