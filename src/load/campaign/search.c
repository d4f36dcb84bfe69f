#include "load/campaign/search.h"

#include <math.h>

const char *const search_purpose_names[] = {"grow", "shrink", "bisect", "just below", "just above"};

void search_init(struct search *search, uint64_t from, uint64_t to, double precision)
{
    *search = (struct search){.from = from < to ? from : to, .to = to, .precision = precision};
}

static const struct search_level *find(const struct search *search, uint64_t level)
{
    for (size_t i = 0; i < search->count; i++) {
        if (search->levels[i].level == level) {
            return &search->levels[i];
        }
    }
    return NULL;
}

/* A hiccup may break a low level and spare a higher one. The highest that was kept counts: every level that is broken
 * is tried again before an answer stands on it. */
uint64_t search_low(const struct search *search)
{
    uint64_t low = 0;
    for (size_t i = 0; i < search->count; i++) {
        const struct search_level *each = &search->levels[i];
        low = each->kept && each->level > low ? each->level : low;
    }
    return low;
}

uint64_t search_high(const struct search *search)
{
    uint64_t low = search_low(search);
    uint64_t high = 0;
    for (size_t i = 0; i < search->count; i++) {
        const struct search_level *each = &search->levels[i];
        high = !each->kept && each->level > low && (high == 0 || each->level < high) ? each->level : high;
    }
    return high;
}

static unsigned alike(const struct search *search, uint64_t level)
{
    const struct search_level *found = find(search, level);
    return found == NULL ? 0 : found->alike;
}

bool search_is_confirmed(const struct search *search)
{
    uint64_t low = search_low(search);
    uint64_t high = search_high(search);
    return low > 0 && alike(search, low) > 1 && (high == 0 || alike(search, high) > 1);
}

bool search_next(const struct search *search, uint64_t *level, enum search_purpose *purpose)
{
    uint64_t low = search_low(search);
    uint64_t high = search_high(search);
    if (search->count == SEARCH_LEVELS) {
        return false;
    }
    if (low == 0) {
        *purpose = high == 0 ? SEARCH_GROW : SEARCH_SHRINK;
        *level = high == 0 ? search->from : high / 2;
        if (*purpose == SEARCH_SHRINK && search->carried > 0 && search->carried < *level) {
            *level = search->carried; /* what is far too much need not be halved all the way down */
        }
        return *level > 0;
    }
    if (high == 0 && low < search->to) {
        *purpose = SEARCH_GROW;
        *level = low < search->to / 2 ? low * 2 : search->to;
        return true;
    }
    if (high > low + 1 && (double)high > (double)low * (1.0 + search->precision)) {
        uint64_t middle = (uint64_t)llround(sqrt((double)low * (double)high));
        *purpose = SEARCH_BISECT;
        *level = middle <= low ? low + 1 : middle >= high ? high - 1 : middle;
        return true;
    }
    if (search->doubts >= SEARCH_DOUBTS) {
        return false;
    }
    *purpose = alike(search, low) < 2 ? SEARCH_BELOW : SEARCH_ABOVE;
    *level = *purpose == SEARCH_BELOW ? low : high;
    return *purpose == SEARCH_BELOW || (high > 0 && alike(search, high) < 2);
}

void search_note(struct search *search, uint64_t level, bool kept, uint64_t carried)
{
    search->carried = carried;
    for (size_t i = 0; i < search->count; i++) {
        if (search->levels[i].level == level) {
            search->doubts += search->levels[i].kept != kept ? 1 : 0;
            search->levels[i].alike = search->levels[i].kept == kept ? search->levels[i].alike + 1 : 1;
            search->levels[i].kept = kept;
            return;
        }
    }
    if (search->count < SEARCH_LEVELS) {
        search->levels[search->count++] = (struct search_level){.level = level, .kept = kept, .alike = 1};
    }
}
