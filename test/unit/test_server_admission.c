/* Tests of the rooms of admission.h and scoreboard.h: who is let in, over all workers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <string.h>

#include "server/entry/admission.h"

static struct net_address address(const char *text)
{
    struct net_address out;
    char error[160];
    if (net_parse(text, 22, false, &out, error, sizeof error) != 0) {
        fail_msg("%s: %s", text, error);
    }
    return out;
}

static uint64_t key_of(const char *text)
{
    struct net_address a = address(text);
    return net_source_key(&a);
}

static void test_source_keys(void **state)
{
    (void)state;
    assert_true(key_of("192.0.2.1:1") == key_of("192.0.2.1:9"));
    assert_true(key_of("192.0.2.1:1") != key_of("192.0.2.2:1"));
    assert_true(key_of("[2001:db8::1]:1") == key_of("[2001:db8::2]:1")); /* one /64 */
    assert_true(key_of("[2001:db8::1]:1") != key_of("[2001:db8:0:1::1]:1"));
    assert_true(key_of("[::ffff:192.0.2.1]:1") == key_of("192.0.2.1:1"));
    assert_true(key_of("[::1]:1") != 0);
}

static void test_token_bucket(void **state)
{
    (void)state;
    struct token_bucket bucket;
    mono_time start = mono_now();
    token_bucket_init(&bucket, 10, 1);
    bucket.at = start;
    for (int i = 0; i < 10; i++) {
        assert_true(token_bucket_take(&bucket, start));
    }
    assert_false(token_bucket_take(&bucket, start));
    assert_true(token_bucket_take(&bucket, mono_add_us(start, 100001)));
    assert_false(token_bucket_take(&bucket, mono_add_us(start, 100002)));
    token_bucket_init(&bucket, 6, 60);
    bucket.at = start;
    for (int i = 0; i < 6; i++) {
        assert_true(token_bucket_take(&bucket, start));
    }
    assert_false(token_bucket_take(&bucket, mono_add_us(start, 9 * US_PER_S)));
    assert_true(token_bucket_take(&bucket, mono_add_us(start, 10 * US_PER_S + 1)));
    token_bucket_init(&bucket, 0, 1);
    for (int i = 0; i < 1000; i++) {
        assert_true(token_bucket_take(&bucket, start));
    }
}

struct world {
    struct scoreboard *board;
    struct config config;
    struct admission admission;
};

static int make_world(void **state)
{
    static struct world world;
    memset(&world, 0, sizeof world);
    world.board = scoreboard_create();
    assert_non_null(world.board);
    scoreboard_enlist(world.board, 0, 1);
    scoreboard_enlist(world.board, 1, 2);
    admission_init(&world.admission, &world.config, world.board, 0, 1000);
    *state = &world;
    return 0;
}

static int end_world(void **state)
{
    struct world *world = *state;
    scoreboard_destroy(world->board);
    return 0;
}

static int check(struct world *world, const char *text)
{
    struct net_address peer = address(text);
    return admission_check(&world->admission, &peer, mono_now());
}

static void test_limits_count_every_worker(void **state)
{
    struct world *world = *state;
    world->config.max_connections = 10;
    counters_set(&world->board->workers[0].connections, 4);
    counters_set(&world->board->workers[1].connections, 5);
    assert_int_equal(check(world, "192.0.2.1:1"), ADMITTED);
    counters_set(&world->board->workers[1].connections, 6);
    assert_int_equal(check(world, "192.0.2.1:1"), REFUSED_FULL);
    assert_int_equal(counters_get(&world->board->workers[0].refused[REFUSED_FULL]), 1);
}

static void test_sources(void **state)
{
    struct world *world = *state;
    uint64_t key = key_of("192.0.2.1:1");
    world->config.max_per_source = 3;
    assert_true(source_counts_add(&world->board->sources[0], key));
    assert_true(source_counts_add(&world->board->sources[1], key));
    assert_int_equal(check(world, "192.0.2.1:1"), ADMITTED);
    assert_true(source_counts_add(&world->board->sources[1], key));
    assert_int_equal(check(world, "192.0.2.1:1"), REFUSED_SOURCE);
    assert_int_equal(check(world, "192.0.2.2:1"), ADMITTED);
    scoreboard_bury(world->board, 1); /* what a dead worker held does not count against anybody */
    assert_int_equal(scoreboard_source_count(world->board, key), 1);
    assert_int_equal(check(world, "192.0.2.1:1"), ADMITTED);
}

static void test_source_table_is_reused(void **state)
{
    struct world *world = *state;
    for (uint64_t round = 0; round < 5; round++) {
        for (uint64_t key = 1; key <= SOURCES_COUNTED; key++) {
            assert_true(source_counts_add(&world->board->sources[0], round << 32 | key));
        }
        assert_false(source_counts_add(&world->board->sources[0], UINT64_MAX));
        for (uint64_t key = 1; key <= SOURCES_COUNTED; key++) {
            assert_int_equal(scoreboard_source_count(world->board, round << 32 | key), 1);
            source_counts_remove(&world->board->sources[0], round << 32 | key);
        }
    }
}

/* An event loop that wakes for a connection which another worker has taken must not pay for it. */
static void test_asking_costs_no_token(void **state)
{
    struct world *world = *state;
    mono_time now = mono_now();
    world->config.handshake_rate = 2;
    admission_init(&world->admission, &world->config, world->board, 0, 1000);
    world->admission.handshakes.at = now;
    for (int i = 0; i < 100; i++) {
        assert_true(admission_may_accept(&world->admission, now));
    }
    admission_accepted(&world->admission, now);
    admission_accepted(&world->admission, now);
    assert_false(admission_may_accept(&world->admission, now));
}

static void test_slots_follow_the_workers(void **state)
{
    struct world *world = *state;
    assert_int_equal(scoreboard_slots(world->board), 2);
    scoreboard_enlist(world->board, SCOREBOARD_WORKERS - 1, 3);
    counters_set(&world->board->workers[SCOREBOARD_WORKERS - 1].connections, 5);
    assert_int_equal(scoreboard_connections(world->board), 5);
    scoreboard_bury(world->board, 0);
    assert_int_equal(scoreboard_slots(world->board), SCOREBOARD_WORKERS);
    scoreboard_bury(world->board, SCOREBOARD_WORKERS - 1);
    assert_int_equal(scoreboard_slots(world->board), 2);
    scoreboard_bury(world->board, 1);
    assert_int_equal(scoreboard_slots(world->board), 0);
}

static void test_random_early_drop(void **state)
{
    struct world *world = *state;
    world->config.unauth_start = 10;
    world->config.unauth_percent = 30;
    world->config.unauth_full = 20;
    for (unsigned waiting = 0; waiting <= 20; waiting += 5) {
        unsigned refused = 0;
        counters_set(&world->board->workers[1].unauthenticated, waiting);
        for (int i = 0; i < 2000; i++) {
            refused += check(world, "192.0.2.1:1") == REFUSED_UNAUTHENTICATED ? 1U : 0U;
        }
        unsigned percent = waiting < 10 ? 0 : waiting >= 20 ? 100 : 30 + 70 * (waiting - 10) / 10;
        assert_in_range(refused,
                        percent >= 100       ? 2000
                        : percent * 20 > 150 ? percent * 20 - 150
                                             : 0,
                        percent == 0 ? 0 : percent * 20 + 150);
    }
}

static void test_hold_off(void **state)
{
    struct world *world = *state;
    uint64_t key = key_of("192.0.2.1:1");
    uint64_t now_ns = (uint64_t)mono_now().ns;
    world->config.profile = PROFILE_EXPOSED;
    source_strike(&world->board->hold_offs, key, now_ns);
    assert_int_equal(check(world, "192.0.2.1:1"), ADMITTED); /* once is an accident */
    source_strike(&world->board->hold_offs, key, now_ns);
    assert_int_equal(check(world, "192.0.2.1:1"), REFUSED_HELD_OFF);
    assert_int_equal(check(world, "192.0.2.2:1"), ADMITTED);
    assert_false(source_is_held_off(&world->board->hold_offs, key, now_ns + UINT64_C(3600) * 1000000000));
    world->config.profile = PROFILE_BENCH;
    assert_int_equal(check(world, "192.0.2.1:1"), ADMITTED);
}

static void test_the_departed_keep_their_deeds(void **state)
{
    struct world *world = *state;
    struct counters total;
    counters_set(&world->board->workers[1].echoes, 7);
    counters_set(&world->board->workers[1].connections, 3);
    scoreboard_bury(world->board, 1);
    scoreboard_total(world->board, &total);
    assert_int_equal(counters_get(&total.echoes), 7);
    assert_int_equal(counters_get(&total.connections), 0);
}

/* What a process writes on every turn must share no cache line with what another one writes. */
static void test_one_cache_line_per_writer(void **state)
{
    struct world *world = *state;
    struct scoreboard *board = world->board;
    const void *written_alone[] = {&board->workers[0],
                                   &board->workers[1],
                                   &board->workers[2],
                                   &board->sources[0],
                                   &board->sources[1],
                                   &board->next_connection,
                                   &board->workers[SCOREBOARD_WORKERS - 1],
                                   &board->sources[SCOREBOARD_WORKERS - 1]};
    for (size_t i = 0; i < sizeof written_alone / sizeof written_alone[0]; i++) {
        assert_int_equal((uintptr_t)written_alone[i] % 64, 0);
    }
    /* a worker's last counter and the next worker's first: 64 bytes are a line of any processor that Debian runs on */
    assert_true((uintptr_t)&board->workers[1] / 64 > (uintptr_t)&board->workers[0].turn.sum_us / 64);
    assert_true((uintptr_t)&board->workers[0] / 64 > (uintptr_t)&board->next_connection / 64);
    assert_true((uintptr_t)&board->next_connection / 64 > (uintptr_t)&board->queues_half / 64);
    assert_true((uintptr_t)&board->sources[1] / 64 >
                (uintptr_t)&board->sources[0].slots[SOURCES_COUNTED - 1].connections / 64);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_source_keys),
        cmocka_unit_test(test_token_bucket),
        cmocka_unit_test_setup_teardown(test_limits_count_every_worker, make_world, end_world),
        cmocka_unit_test_setup_teardown(test_sources, make_world, end_world),
        cmocka_unit_test_setup_teardown(test_source_table_is_reused, make_world, end_world),
        cmocka_unit_test_setup_teardown(test_asking_costs_no_token, make_world, end_world),
        cmocka_unit_test_setup_teardown(test_slots_follow_the_workers, make_world, end_world),
        cmocka_unit_test_setup_teardown(test_random_early_drop, make_world, end_world),
        cmocka_unit_test_setup_teardown(test_hold_off, make_world, end_world),
        cmocka_unit_test_setup_teardown(test_the_departed_keep_their_deeds, make_world, end_world),
        cmocka_unit_test_setup_teardown(test_one_cache_line_per_writer, make_world, end_world),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
