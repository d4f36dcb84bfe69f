/*
 * commands.h - room: the first words that are no run.
 *
 * The table of the commands that work on finished results (or on runs of their own), each with its options; reads its
 * command line and calls it.
 */
#ifndef LOAD_COMMANDS_H
#define LOAD_COMMANDS_H

#include <stdbool.h>

bool commands_know(const char *word);
/* argv[0] is the command. Returns the exit code. */
int commands_run(int argc, char **argv);

#endif
