/* What a crowd has left free goes back to the system, and no turn of the loop hands back much of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "server/process/heap.h"

#define SESSIONS 3000
#define PARTS 6 /* of a session, in bytes: */
static const size_t part_bytes[PARTS] = {8192, 1024, 2480, 4096, 300, 9000};
#define SESSION_BYTES 25092

static char *parts[SESSIONS][PARTS];

#if defined(__SANITIZE_ADDRESS__)
#define IS_GLIBC_HEAP false
#else
#define IS_GLIBC_HEAP true
#endif

static size_t resident_bytes(void)
{
    FILE *file = fopen("/proc/self/smaps_rollup", "re");
    assert_non_null(file);
    char line[256];
    unsigned long kib = 0;
    while (fgets(line, sizeof line, file) != NULL && sscanf(line, "Rss: %lu", &kib) != 1) {
    }
    (void)fclose(file);
    assert_int_not_equal(kib, 0);
    return kib * 1024;
}

static void come(void)
{
    for (size_t i = 0; i < SESSIONS; i++) {
        for (size_t j = 0; j < PARTS; j++) {
            parts[i][j] = malloc(part_bytes[j]);
            assert_non_null(parts[i][j]);
            memset(parts[i][j], (int)i, part_bytes[j]);
        }
    }
}

/* All but every `stays`th, the stayers with what they hold. */
static void go(size_t stays)
{
    for (size_t i = 0; i < SESSIONS; i++) {
        for (size_t j = 0; j < PARTS && i % stays != 0; j++) {
            free(parts[i][j]);
        }
    }
}

static void leave(size_t stays)
{
    for (size_t i = 0; i < SESSIONS; i += stays) {
        for (size_t j = 0; j < PARTS; j++) {
            for (size_t at = 0; at < part_bytes[j]; at++) {
                assert_int_equal((unsigned char)parts[i][j][at], i % 256);
            }
            free(parts[i][j]);
        }
    }
}

/* Runs it to its end; the most that one turn has handed back. */
static size_t hand_back(struct heap *heap)
{
    size_t most = 0, before = resident_bytes();
    int turns = 0;
    heap_begin(heap);
    for (bool more = true; more; turns++) {
        assert_true(turns < 10000);
        more = heap_turn(heap);
        size_t after = resident_bytes();
        most = before > after && before - after > most ? before - after : most;
        before = after;
    }
    assert_null(heap->pieces);
    assert_false(heap_turn(heap));
    return most;
}

/* QEMU's user emulation takes brk back in name only: the pages behind it stay. Linux gives them to others. */
static bool takes_brk_back(void)
{
    const size_t bytes = (size_t)4 << 20;
    void *at = sbrk((intptr_t)bytes);
    assert_ptr_not_equal(at, (void *)-1);
    memset(at, 1, bytes);
    size_t before = resident_bytes();
    assert_ptr_not_equal(sbrk(-(intptr_t)bytes), (void *)-1);
    return before >= resident_bytes() + bytes / 2;
}

/* Of the bytes that went this share is back at the end, and no turn hands back more than it may. */
static void crowd(size_t stays, double share, size_t most_bytes)
{
    struct heap heap = {0};
    if (!takes_brk_back()) {
        skip();
    }
    come();
    size_t full = resident_bytes();
    go(stays);
    size_t most_in_a_turn = hand_back(&heap);
    size_t left = resident_bytes();
    leave(stays);
    if (IS_GLIBC_HEAP) {
        double went = (double)(SESSIONS - SESSIONS / stays) * SESSION_BYTES;
        assert_true((double)(full - left) > share * went);
        assert_true(most_in_a_turn <= most_bytes);
    }
}

static void test_all_of_a_crowd_but_a_few(void **state)
{
    (void)state;
    crowd(1000, 0.97, 2 * HEAP_TURN_BYTES);
}

/* What is free lies between what is not: a page or two of each of 1,000 gaps is left to malloc_trim. */
static void test_more_than_half_of_a_crowd(void **state)
{
    (void)state;
    crowd(3, 0.80, 8 * HEAP_TURN_BYTES);
}

static void test_an_end_before_its_end(void **state)
{
    (void)state;
    struct heap heap = {0};
    heap_end(&heap);
    assert_false(heap_turn(&heap));
    come();
    go(SESSIONS);
    heap_begin(&heap);
    (void)heap_turn(&heap);
    assert_true(!IS_GLIBC_HEAP || heap.pieces != NULL);
    heap_end(&heap); /* what it forgets, LeakSanitizer and valgrind see */
    assert_null(heap.pieces);
    assert_false(heap_turn(&heap));
    leave(SESSIONS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_of_a_crowd_but_a_few),
        cmocka_unit_test(test_more_than_half_of_a_crowd),
        cmocka_unit_test(test_an_end_before_its_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
