/*
 * printable.h - room: other people's words on the way to a person.
 *
 * What a server says, or what stands in a file, must not move a terminal's cursor, hide text or end a line. Pure.
 */
#ifndef LOAD_TALLY_PRINTABLE_H
#define LOAD_TALLY_PRINTABLE_H

#include <stddef.h>

/* Copies a server's words: printable ASCII as it is, every other byte as \xNN; cut where `size` ends, never within such
 * an escape. What has been copied once stays as it is. Returns out. */
const char *printable_copy(char *out, size_t size, const char *text);

/* In place, for valid UTF-8 out of a file: controls (C0, DEL, C1) and what turns the writing direction become '?'. */
void printable_mend(char *text);

#endif
