/*
 * tools.h - room: the commands that work on finished results.
 */
#ifndef SSHLOAD_TOOLS_H
#define SSHLOAD_TOOLS_H

#include <stdbool.h>

bool tools_is_command(const char *word);
/* argv[0] is the command. Returns the exit code. */
int tools_run(int argc, char **argv);

#endif
