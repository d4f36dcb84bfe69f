/*
 * authorized_keys.h - room: the options in front of a key.
 *
 * A line of authorized_keys(5) is `[options] type key [comment]`. An option that takes something away which this server
 * does not give to anybody (forwarding, terminals, environment) is honoured by nature, and so is one that gives it
 * back: there is nothing to give. Any other option narrows who may log in or what they get in a way that is not kept
 * here; skipping it would let in more than the owner meant, so the line is refused. Pure.
 */
#ifndef SERVER_LOGIN_AUTHORIZED_KEYS_H
#define SERVER_LOGIN_AUTHORIZED_KEYS_H

/* Where the key's type begins, or NULL with a sentence in *what (static storage). `line` is not empty. */
char *authorized_keys_find_type(char *line, const char **what);

#endif
