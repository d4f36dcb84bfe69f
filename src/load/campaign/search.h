/*
 * search.h - room: which load to try next.
 *
 * Looks for the highest level at which a promise is kept: doubles until it is broken, halves the distance until that is
 * small enough, then has the level just below and the one just above tried once more. What a second try takes back is
 * looked for again. Pure: knows levels and verdicts, not what they mean.
 */
#ifndef LOAD_CAMPAIGN_SEARCH_H
#define LOAD_CAMPAIGN_SEARCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SEARCH_LEVELS 128
/* So often a confirmation may fail before the answer stands unconfirmed. */
#define SEARCH_DOUBTS 4

enum search_purpose { SEARCH_GROW, SEARCH_SHRINK, SEARCH_BISECT, SEARCH_BELOW, SEARCH_ABOVE };

struct search_level {
    uint64_t level;
    bool kept;      /* of the last try */
    unsigned alike; /* so many tries in a row said the same */
};

struct search {
    uint64_t from, to; /* to: the highest that is tried; never 0 */
    double precision;  /* 0.05: the answer and what is too much are no more than 5 % apart */
    struct search_level levels[SEARCH_LEVELS];
    size_t count;
    unsigned doubts;
    uint64_t carried; /* the most of a broken level that was carried all the same; a start when nothing was kept */
};

void search_init(struct search *search, uint64_t from, uint64_t to, double precision);
/* The next level to try, and why; false when there is none left. */
bool search_next(const struct search *search, uint64_t *level, enum search_purpose *purpose);
/* What came of it; `carried` is how much of the level was there in the end. */
void search_note(struct search *search, uint64_t level, bool kept, uint64_t carried);

/* The highest level that was kept and below all that are broken; 0: none. */
uint64_t search_low(const struct search *search);
/* The lowest that was broken above it; 0: none. */
uint64_t search_high(const struct search *search);
/* The last two tries of both said the same (where there is nothing above, the lower one). */
bool search_is_confirmed(const struct search *search);

extern const char *const search_purpose_names[];

#endif
