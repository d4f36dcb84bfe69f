/*
 * heard.h - room: what a peer wrote where the first echo was due.
 *
 * The first of its words on stdout or stderr, kept until the echo comes, so that who meets a shell, a login message or
 * an appliance sees it in the error. Nothing is kept of a peer that just echoes. The struct is its channel's.
 */
#ifndef LOAD_CONNECTION_HEARD_H
#define LOAD_CONNECTION_HEARD_H

#include <stddef.h>
#include <stdint.h>

struct heard {
    char *words;     /* malloc'd, or NULL: nothing yet */
    int64_t from_ns; /* when the first came */
};

/* More of them; what does not fit is dropped, and so is everything where there is no memory. */
void heard_add(struct heard *heard, const void *data, size_t size, int64_t now_ns);
void heard_forget(struct heard *heard);
/* Behind what stands in `text`, escaped. */
void heard_append(const struct heard *heard, char *text, size_t text_size);

#endif
