/*
 * agents_parts.h - inside the room of agents.h: what its files share.
 */
#ifndef LOAD_CAMPAIGN_AGENTS_PARTS_H
#define LOAD_CAMPAIGN_AGENTS_PARTS_H

#include <stddef.h>
#include <stdint.h>

#define AGENTS_MOST 256
#define AGENTS_SSH_WORDS 64

struct agent {
    const char *host;
    int output, complaints;          /* files without a name; -1: none */
    char *ssh[AGENTS_SSH_WORDS + 8]; /* what reaches it, ended by NULL: the texts are another's, but for the last */
    size_t ssh_count;
    char *command; /* the last of those words, for its shell; owned */
};

/* Appends the word to the text (owned, NULL: empty) as a shell reads one word. 0, or -1 out of memory. */
int agents_quote(char **text, const char *word);
/* Puts the last line that ssh or the agent complained with into out; empty if there is none. */
void agents_last_words(const struct agent *agent, char *out, size_t size);
/* Asks each for the time; *reach_us is how long it took to reach them all. 0; or an exit code, having said which does
 * not answer, or whose clock is off. */
int agents_measure_clocks(struct agent *agents, size_t count, const char *command, int quiet, int64_t *reach_us);

#endif
