/*
 * pictures.h - room: finished results, drawn.
 *
 * `sshload plot` (one picture) and `sshload report` (a page), each in a file of its own.
 */
#ifndef LOAD_PICTURES_PICTURES_H
#define LOAD_PICTURES_PICTURES_H

#include "sshecho/options.h"

extern const struct option_table plot_option_table;
extern const struct option_table page_option_table;

/* Each takes the parsed values of its table and the files named. Returns the exit code. */
int plot_run(const void *values, const struct string_list *files);
int page_run(const void *values, const struct string_list *files);

#endif
