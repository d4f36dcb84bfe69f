/* Progress as a line of text: what is written there is what is read here, and nothing else is read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "load/watch/told.h"

static char *write_line(const struct told *told)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    assert_non_null(out);
    told_write(told, out);
    assert_int_equal(fclose(out), 0);
    assert_true(size > 1 && text[size - 1] == '\n');
    text[size - 1] = '\0';
    return text;
}

static void test_what_is_told_is_read(void **state)
{
    (void)state;
    struct histogram *h = calloc(1, sizeof *h);
    assert_non_null(h);
    histogram_record_many(h, 1234, 7);
    histogram_record(h, 99999);
    for (int with = 0; with < 2; with++) {
        struct told back;
        struct told told = {.index = -3, .load = with != 0, .errors = 5, .latency_sum_us = 108637};
        told.interval = (struct interval){
            .covered_us = 250000, .echoes = 8, .bytes = UINT64_MAX, .handshakes = 2, .sessions = 3, .errors = 1};
        told.interval.latency = with != 0 ? packed_make(h) : NULL;
        char *line = write_line(&told);
        assert_int_equal(told_read(line, &back), 0);
        assert_int_equal(back.index, -3);
        assert_int_equal(back.load, with != 0);
        assert_int_equal(back.errors, 5);
        assert_int_equal(back.latency_sum_us, 108637);
        assert_int_equal(back.interval.covered_us, 250000);
        assert_int_equal(back.interval.echoes, 8);
        assert_true(back.interval.bytes == UINT64_MAX);
        assert_int_equal(back.interval.handshakes, 2);
        assert_int_equal(back.interval.sessions, 3);
        struct histogram *other = calloc(1, sizeof *other);
        assert_non_null(other);
        interval_unpack(&back.interval, other);
        assert_int_equal(other->total, with != 0 ? 8 : 0);
        assert_int_equal(histogram_percentile(other, 50.0), with != 0 ? histogram_percentile(h, 50.0) : 0);
        free(other);
        interval_free(&back.interval);
        interval_free(&told.interval);
        free(line);
    }
    free(h);
}

static void test_what_is_no_progress(void **state)
{
    static const char good[] =
        TOLD_BEGIN "index=1 load=1 covered_us=1 sessions=1 handshakes=1 echoes=1 bytes=1 errors=1 "
                   "latency_sum_us=1 histogram=";
    static const char *const bad[] = {
        TOLD_BEGIN,
        TOLD_BEGIN "index=1",
        TOLD_BEGIN "index=9223372036854775807 load=1 covered_us=1 sessions=1 handshakes=1 echoes=1 bytes=1 errors=1 "
                   "latency_sum_us=1 histogram=-",
        TOLD_BEGIN "index=1 load=1 covered_us=-1 sessions=1 handshakes=1 echoes=1 bytes=1 errors=1 latency_sum_us=1 "
                   "histogram=-",
        TOLD_BEGIN "index=1 load=1 covered_us=1 sessions=1 handshakes=1 echoes=1 bytes=1 errors=1 latency_sum_us=1",
    };
    char line[512];
    struct told told;
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(told_read(bad[i], &told), -1);
    }
    static const char *const none[] = {"-", "", "AAAA", "not base64"};
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++) { /* latencies that are none are not known */
        (void)snprintf(line, sizeof line, "%s%s", good, none[i]);
        assert_int_equal(told_read(line, &told), 0);
        assert_null(told.interval.latency);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_told_is_read),
        cmocka_unit_test(test_what_is_no_progress),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
