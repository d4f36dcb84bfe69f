/*
 * options_internal.h - inside the room of options.h: what options.c lends to options_file.c and options_print.c.
 */
#ifndef BASE_OPTIONS_INTERNAL_H
#define BASE_OPTIONS_INTERNAL_H

#include "sshecho/options.h"

/* Who set a value; a lower rank never overrides a higher one, whichever comes first. Stored in option_state.given. */
enum option_rank { OPTION_RANK_DEFAULT, OPTION_RANK_FILE, OPTION_RANK_COMMAND_LINE };

#define OPTION_ALLOWED_MAX 256

/* Checks text and, unless a higher rank has set the value, stores it. */
int option_apply(const struct option_table *table, void *values, struct option_state *state,
                 const struct option_spec *spec, enum option_rank rank, const char *where, const char *text,
                 struct option_error *error);

/* "1s to 1h, or off"; "" for a free text. Returns buffer. */
const char *option_allowed(const struct option_spec *spec, char buffer[OPTION_ALLOWED_MAX]);

/* The key that an unknown one most resembles, or NULL. */
const char *option_similar(const struct option_table *table, const char *name);
/* Says so; returns -1. */
int option_unknown(const struct option_table *table, const char *where, const char *key, struct option_error *error);

#endif
