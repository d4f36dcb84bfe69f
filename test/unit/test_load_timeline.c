/* Histograms at rest, and intervals that add up. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "load/timeline/timeline.h"

static uint64_t state = 88172645463325252u;

static uint64_t next_random(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static struct histogram *new_histogram(void)
{
    struct histogram *h = calloc(1, sizeof *h);
    assert_non_null(h);
    return h;
}

static void record_some(struct histogram *h, unsigned values)
{
    for (unsigned i = 0; i < values; i++) {
        histogram_record(h, (int64_t)(next_random() >> (next_random() % 60 + 4)));
    }
}

static void assert_same(const struct histogram *a, const struct histogram *b)
{
    assert_int_equal(a->total, b->total);
    assert_memory_equal(a->counts, b->counts, sizeof a->counts);
    assert_int_equal(a->max, b->max);
}

static void test_packed_holds_every_count(void **unused)
{
    (void)unused;
    struct histogram *h = new_histogram();
    struct histogram *back = new_histogram();
    for (unsigned values = 0; values < 3000; values = values * 3 + 1) {
        histogram_reset(h);
        histogram_reset(back);
        record_some(h, values);
        if (values > 100) { /* the largest count and the last bucket */
            histogram_record_many(h, 7, UINT64_C(1) << 55);
            histogram_record(h, HISTOGRAM_MAX_VALUE);
        }
        struct packed *packed = packed_make(h);
        assert_non_null(packed);
        packed_unpack(packed, back);
        assert_same(h, back);
        assert_int_equal(h->min, back->min);
        char *text = packed_to_text(packed);
        assert_non_null(text);
        struct packed *read = packed_from_text(text);
        assert_non_null(read);
        assert_int_equal(read->total, packed->total);
        assert_int_equal(read->length, packed->length);
        assert_memory_equal(read->bytes, packed->bytes, packed->length);
        free(read);
        free(text);
        free(packed);
    }
    free(h);
    free(back);
}

static void test_differences_add_up_to_the_whole(void **unused)
{
    (void)unused;
    struct histogram *now = new_histogram();
    struct histogram *before = new_histogram();
    struct histogram *sum = new_histogram();
    for (unsigned i = 0; i < 20; i++) {
        record_some(now, i * 7 % 40);
        struct packed *packed = packed_difference(now, before);
        assert_non_null(packed);
        packed_unpack(packed, sum);
        free(packed);
        assert_same(now, before);
    }
    assert_same(now, sum);
    assert_int_equal(now->min, sum->min);
    free(now);
    free(before);
    free(sum);
}

static void test_an_interval_knows_its_own_extremes(void **unused)
{
    (void)unused;
    struct histogram *now = new_histogram();
    struct histogram *before = new_histogram();
    histogram_record(now, 1000003);
    free(packed_difference(now, before));
    histogram_record(now, 500);
    histogram_record(now, 90001);
    struct packed *packed = packed_difference(now, before);
    assert_int_equal(packed->min, 500);
    assert_int_equal(histogram_slot_of(packed->max), histogram_slot_of(90001));
    assert_int_equal(packed->total, 2);
    free(packed);
    histogram_record(now, 2000001);
    packed = packed_difference(now, before);
    assert_int_equal(packed->max, 2000001); /* the largest of all is exact */
    free(packed);
    free(now);
    free(before);
}

static void test_other_texts_are_refused(void **unused)
{
    (void)unused;
    struct histogram *h = new_histogram();
    record_some(h, 300);
    struct packed *packed = packed_make(h);
    char *text = packed_to_text(packed);
    size_t length = strlen(text);
    assert_null(packed_from_text(""));
    assert_null(packed_from_text("===="));
    for (size_t cut = 1; cut < length; cut++) {
        char *shorter = strndup(text, length - cut);
        assert_null(packed_from_text(shorter));
        free(shorter);
    }
    for (size_t i = 0; i < length; i++) { /* zlib's checksum, or ours: nothing else comes out of it */
        char was = text[i];
        text[i] = was == 'A' ? 'B' : 'A';
        struct packed *other = packed_from_text(text);
        if (other != NULL) { /* a bit behind the last byte */
            assert_int_equal(other->total, packed->total);
        }
        free(other);
        text[i] = was;
    }
    free(text);
    free(packed);
    free(h);
}

/* A timeline with `rows` intervals, row i holding i + 1 values and sessions, shifted by `salt`. */
static struct timeline make(int64_t length_us, size_t rows, uint64_t salt, struct histogram *all)
{
    struct timeline t = {.length_us = length_us};
    struct histogram *h = new_histogram();
    for (size_t i = 0; i < rows; i++) {
        histogram_reset(h);
        record_some(h, (unsigned)(i + 1));
        histogram_merge(all, h);
        struct interval *row = timeline_at(&t, (int64_t)i * length_us);
        assert_non_null(row);
        row->covered_us = length_us;
        row->echoes = i + 1;
        row->sessions = i + salt;
        row->server_cpu_s = 0.5;
        row->server_bytes = 100.0 + (double)i;
        row->latency = packed_make(h);
    }
    free(h);
    return t;
}

static void assert_sums(const struct timeline *t, const struct histogram *all, uint64_t echoes)
{
    struct histogram *sum = new_histogram();
    uint64_t seen = 0;
    for (size_t i = 0; i < t->count; i++) {
        seen += t->rows[i].echoes;
        if (t->rows[i].latency != NULL) {
            packed_unpack(t->rows[i].latency, sum);
        }
    }
    assert_int_equal(seen, echoes);
    assert_same(sum, all);
    free(sum);
}

static void test_coarser_intervals_lose_nothing(void **unused)
{
    (void)unused;
    struct histogram *all = new_histogram();
    struct timeline t = make(1000, 7, 10, all);
    struct timeline thin;
    assert_int_equal(timeline_thin(&t, 4, &thin), 0);
    assert_int_equal(thin.count, 4);
    assert_int_equal(thin.length_us, 2000);
    assert_sums(&thin, all, 28);
    timeline_free(&thin);
    assert_int_equal(timeline_coarsen(&t, 3), 0);
    assert_int_equal(t.count, 3);
    assert_int_equal(t.length_us, 3000);
    assert_int_equal(t.rows[0].covered_us, 3000);
    assert_int_equal(t.rows[0].sessions, 12); /* at its end */
    assert_true(t.rows[0].server_cpu_s > 1.49 && t.rows[0].server_cpu_s < 1.51);
    assert_true(t.rows[2].server_bytes > 105.5);
    assert_sums(&t, all, 28);
    timeline_free(&t);
    free(all);
}

static void test_what_grows_too_long_doubles_its_intervals(void **unused)
{
    (void)unused;
    struct timeline t = {.length_us = 10};
    for (size_t i = 0; i < 3; i++) {
        struct interval *row = timeline_at(&t, (int64_t)i * 10);
        row->echoes = 1;
    }
    assert_non_null(timeline_at(&t, (int64_t)TIMELINE_ROWS_MAX * 10));
    assert_int_equal(t.length_us, 20);
    assert_int_equal(t.count, TIMELINE_ROWS_MAX / 2 + 1);
    assert_int_equal(t.rows[0].echoes, 2);
    assert_int_equal(t.rows[1].echoes, 1);
    timeline_free(&t);
}

static void test_parts_of_a_run_stand_beside_one_another(void **unused)
{
    (void)unused;
    for (int later = 0; later < 2; later++) {
        struct histogram *all = new_histogram();
        struct timeline a = make(1000, 6, 0, all);
        struct timeline b = make(2000, 2, 0, all);
        assert_true(timeline_fits(&a, &b));
        assert_int_equal(timeline_merge(&a, &b, later == 0 ? 2100 : -2100), 0);
        assert_int_equal(a.length_us, 2000);
        assert_int_equal(a.count, later == 0 ? 3 : 4);
        assert_sums(&a, all, 21 + 3);
        assert_true(a.rows[1].server_cpu_s < 1.1); /* one server, seen by both */
        timeline_free(&a);
        timeline_free(&b);
        free(all);
    }
    struct timeline odd = {.length_us = 3};
    struct timeline even = {.length_us = 2};
    assert_false(timeline_fits(&odd, &even));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_packed_holds_every_count),
        cmocka_unit_test(test_differences_add_up_to_the_whole),
        cmocka_unit_test(test_an_interval_knows_its_own_extremes),
        cmocka_unit_test(test_other_texts_are_refused),
        cmocka_unit_test(test_coarser_intervals_lose_nothing),
        cmocka_unit_test(test_what_grows_too_long_doubles_its_intervals),
        cmocka_unit_test(test_parts_of_a_run_stand_beside_one_another),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
