#include "load/watch/told.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define NO_HISTOGRAM "-"
/* Times the longest interval both stay far from the ends of their type. */
#define INDEX_MOST INT64_C(2500000000)
#define COVERED_MOST_US INT64_C(1000000000000)

void told_write(const struct told *told, FILE *out)
{
    const struct interval *i = &told->interval;
    char *text = i->latency == NULL ? NULL : packed_to_text(i->latency);
    (void)fprintf(out,
                  TOLD_BEGIN "index=%" PRId64 " load=%d covered_us=%" PRId64 " sessions=%" PRIu64 " handshakes=%" PRIu64
                             " echoes=%" PRIu64 " bytes=%" PRIu64 " errors=%" PRIu64 " latency_sum_us=%" PRIu64
                             " histogram=%s\n",
                  told->index, told->load ? 1 : 0, i->covered_us, i->sessions, i->handshakes, i->echoes, i->bytes,
                  told->errors, told->latency_sum_us, text == NULL ? NO_HISTOGRAM : text);
    (void)fflush(out);
    free(text);
}

int told_read(const char *line, struct told *out)
{
    int load = 0;
    int end = 0;
    *out = (struct told){.interval = INTERVAL_EMPTY};
    struct interval *i = &out->interval;
    (void)sscanf(line,
                 TOLD_BEGIN "index=%" SCNd64 " load=%d covered_us=%" SCNd64 " sessions=%" SCNu64 " handshakes=%" SCNu64
                            " echoes=%" SCNu64 " bytes=%" SCNu64 " errors=%" SCNu64 " latency_sum_us=%" SCNu64
                            " histogram=%n",
                 &out->index, &load, &i->covered_us, &i->sessions, &i->handshakes, &i->echoes, &i->bytes, &out->errors,
                 &out->latency_sum_us, &end);
    if (end == 0 || llabs(out->index) > INDEX_MOST || i->covered_us < 0 || i->covered_us > COVERED_MOST_US) {
        return -1;
    }
    out->load = load != 0;
    i->latency = strcmp(line + end, NO_HISTOGRAM) == 0 ? NULL : packed_from_text(line + end);
    return 0;
}
