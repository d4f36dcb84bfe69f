/* Tests of the rooms of record.h, remarks.h, offers.h, hassh.h and terminal.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "server/channel/terminal.h"
#include "server/report/hassh.h"
#include "server/report/record.h"
#include "server/report/remarks.h"

#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)

static mono_time at_us(int64_t us)
{
    return (mono_time){.ns = us * NS_PER_US + NS_PER_S};
}

static bool has(const struct record *record, const struct remark_facts *facts, const char *name)
{
    struct remark found[32];
    size_t count = remarks_find(record, facts, found, 32);
    for (size_t i = 0; i < count; i++) {
        if (strcmp(found[i].name, name) == 0) {
            assert_true(strlen(found[i].why) > 10 && strlen(found[i].clause) > 3);
            return true;
        }
    }
    return false;
}

/* An offer with these lists; the others are "none". */
static struct kexinit_text make_offer(char *out, const char *kex, const char *host_key)
{
    size_t size = 0;
    for (int i = 0; i < KEXINIT_LISTS; i++) {
        const char *list = i == KEXINIT_KEX ? kex : i == KEXINIT_HOST_KEY ? host_key : "none";
        size_t length = strlen(list);
        memset(out + size, 0, 4);
        out[size + 3] = (char)length;
        memcpy(out + size + 4, list, length);
        size += 4 + length;
    }
    memset(out + size, 0, 5);
    return (struct kexinit_text){out, size + 5};
}

static void test_version_lines(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        unsigned faults;
    } all[] = {
        {"SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3\r\n", 0},
        {"SSH-2.0-Go\r\n", 0},
        {"SSH-2.0-x \r\n", 0},
        {"SSH-2.0-x\n", VERSION_NO_CR},
        {"SSH-2.0-JSCH-0.1.54\r\n", VERSION_MINUS},
        {"SSH-2.0-\r\n", VERSION_EMPTY},
        {"SSH-2.0- comment\r\n", VERSION_EMPTY},
        {"SSH-2.0-\xff\r\n", VERSION_CHARACTERS},
        {"SSH-1.5-x\r\n", VERSION_PROTOCOL},
        {"HELO\r\n", VERSION_PROTOCOL},
        {"", VERSION_PROTOCOL | VERSION_NO_CR},
    };
    char line[300];
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        assert_int_equal(record_version_faults(all[i].line, strlen(all[i].line)), all[i].faults);
    }
    for (size_t size = 255; size <= 256; size++) {
        memset(line, 'x', sizeof line);
        memcpy(line, "SSH-2.0-", 8);
        memcpy(line + size - 2, "\r\n", 2);
        assert_int_equal(record_version_faults(line, size), size == 255 ? 0 : VERSION_LONG);
    }
}

static void test_hassh_is_as_published(void **state)
{
    (void)state;
    char offer[256], hassh[HASSH_CHARACTERS + 1];
    /* echo -n 'a,b;none;none;none' | md5sum */
    if (!hassh_of(make_offer(offer, "a,b", "k"), hassh)) {
        skip(); /* a build without libcrypto */
    }
    assert_string_equal(hassh, "ad445fd8677e56b683060e46c1ee106d");
}

static void test_the_same_offer_is_kept_once(void **state)
{
    (void)state;
    char one[256], other[256];
    size_t before = offers_bytes();
    const struct offer *first = offer_take(make_offer(one, "a", "k"));
    const struct offer *second = offer_take(make_offer(other, "a", "k"));
    const struct offer *third = offer_take(make_offer(other, "b", "k"));
    assert_ptr_equal(first, second);
    assert_ptr_not_equal(first, third);
    assert_memory_equal(offer_text(third).start, other, offer_text(third).length);
    offer_drop(first);
    assert_int_equal(offer_text(second).length, offer_text(third).length);
    offer_drop(second);
    offer_drop(third);
    offer_drop(NULL);
    assert_int_equal(offers_bytes(), before);
}

static void test_what_is_kept_of_offers_is_bounded(void **state)
{
    (void)state;
    static const struct offer *taken[2 * OFFERS_MAX_BYTES / 30000];
    size_t count = sizeof taken / sizeof taken[0], kept = 0;
    char *large = calloc(1, 30000);
    assert_non_null(large);
    for (size_t i = 0; i < count; i++) {
        memcpy(large, &i, sizeof i);
        taken[i] = offer_take((struct kexinit_text){large, 30000});
        kept += taken[i] != NULL ? 1 : 0;
    }
    assert_true(kept > 100 && kept < count && offers_bytes() <= OFFERS_MAX_BYTES);
    for (size_t i = 0; i < count; i++) {
        offer_drop(taken[i]);
    }
    assert_int_equal(offers_bytes(), 0);
    free(large);
}

static void test_remarks_on_the_offer(void **state)
{
    (void)state;
    struct record record;
    struct remark_facts facts = {.now = at_us(0)};
    char text[512];
    record_begin(&record, at_us(0), true);
    assert_false(has(&record, &facts, "strict-kex-missing")); /* nothing is known */
    record.offer = offer_take(make_offer(text, "curve25519-sha256,kex-strict-c-v00@openssh.com", "ssh-ed25519"));
    assert_int_equal(remarks_find(&record, &facts, NULL, 0), 1); /* cipher and MAC "none" are weak */
    record_end(&record);
    record.offer = offer_take(make_offer(text, "curve25519-sha256", "ssh-dss"));
    assert_true(has(&record, &facts, "strict-kex-missing"));
    assert_true(has(&record, &facts, "weak-algorithms"));
    record_end(&record);
}

static void test_remarks_on_keys(void **state)
{
    (void)state;
    static const struct {
        uint64_t bytes;
        int64_t after_us;
        bool ours, early, late;
    } all[] = {
        {MIB - 1, US_PER_S, false, true, false},   {MIB, US_PER_S, false, false, false},
        {100, US_PER_S, true, false, false},       {100, 3600 * US_PER_S, false, false, false},
        {GIB, 60 * US_PER_S, false, false, false}, {GIB + 1, 60 * US_PER_S, true, false, true},
    };
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        struct record record;
        struct remark_facts facts = {.now = at_us(0)};
        record_begin(&record, at_us(0), false);
        record.keys_at = at_us(0);
        record_rekey_begins(&record, at_us(all[i].after_us));
        record_rekey_done(&record, all[i].ours, all[i].bytes, 0, at_us(all[i].after_us + 1000));
        assert_int_equal(has(&record, &facts, "early-rekey"), all[i].early);
        assert_int_equal(has(&record, &facts, "late-rekey"), all[i].late);
        assert_int_equal(record.rekeys[0].took_us, 1000);
        record_end(&record);
    }
}

static void test_remarks_on_windows(void **state)
{
    (void)state;
    struct record record;
    struct remark_facts facts = {.now = at_us(0)};
    for (int when_empty = 0; when_empty < 2; when_empty++) {
        record_begin(&record, at_us(0), false);
        struct channel_record *channel = record_channel(&record, at_us(0));
        record_window(&channel->window, 100000, true);
        for (int i = 0; i < 10; i++) {
            record_written(channel, 99000, 4, false);
            record_written(channel, when_empty ? 1000 : 500, 1, false);
            record_window(&channel->window, when_empty ? 0 : 500, true);
            record_window(&channel->window, 100000, true);
        }
        channel->window.shut_us += when_empty; /* at least a microsecond, whatever the clock says */
        assert_int_equal(channel->window.adjustments, 10);
        assert_int_equal(channel->window.adjustments_at_empty, when_empty ? 10 : 0);
        assert_int_equal(channel->window.least, when_empty ? 0 : 500);
        assert_int_equal(has(&record, &facts, "window-stalls"), when_empty);
        assert_false(has(&record, &facts, "small-window"));
        record_end(&record);
    }
}

/* A user who reads slowly: the window is empty whenever it is opened, but it is opened by little. */
static void test_a_slow_user_is_no_fault_of_the_client(void **state)
{
    (void)state;
    struct record record;
    struct remark_facts facts = {.now = at_us(0)};
    record_begin(&record, at_us(0), false);
    struct channel_record *channel = record_channel(&record, at_us(0));
    record_window(&channel->window, 2 * MIB, true);
    record_written(channel, 2 * MIB, 64, false);
    for (int i = 0; i < 100; i++) {
        record_window(&channel->window, 0, true);
        record_window(&channel->window, 100000, true);
        record_written(channel, 100000, 4, false);
    }
    channel->window.shut_us += 1;
    assert_int_equal(channel->window.adjustments_at_empty, 100);
    assert_false(has(&record, &facts, "window-stalls"));
    record_end(&record);
}

static void test_remarks_on_packets(void **state)
{
    (void)state;
    static const struct {
        uint32_t bytes;
        int together;
        uint32_t waiting_bytes;
        bool small;
    } all[] = {{500, 100, 500, true},
               {8192, 16, 8192, false},
               {64, 3, 64, false},
               {500, 3, 500, false},
               {500, 100, 600000, false}}; /* the last has no more window than that */
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        struct record record;
        struct remark_facts facts = {.now = at_us(0)};
        record_begin(&record, at_us(0), false);
        struct channel_record *channel = record_channel(&record, at_us(0));
        for (int turn = 1; turn <= 400; turn++) {
            for (int packet = 0; packet < all[i].together; packet++) {
                record_data(channel, all[i].bytes, all[i].waiting_bytes, false, at_us(turn * 1000));
            }
        }
        assert_int_equal(has(&record, &facts, "small-packets"), all[i].small);
        record_end(&record);
    }
}

static void test_sizes(void **state)
{
    (void)state;
    static const struct {
        uint32_t bytes;
        unsigned bucket;
    } all[] = {{0, 0}, {1, 1}, {2, 2}, {3, 3}, {4, 3}, {5, 4}, {32768, 16}, {32769, 17}, {UINT32_MAX, 17}};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        struct channel_record channel = {.packets_in = 1};
        record_data(&channel, all[i].bytes, all[i].bytes, false, at_us(1));
        assert_int_equal(channel.sizes[all[i].bucket], 1);
    }
}

static void test_remarks_on_ends(void **state)
{
    (void)state;
    struct record record;
    struct remark_facts facts = {.now = at_us(3 * US_PER_S), .over = true, .cut = true};
    record_begin(&record, at_us(0), false);
    struct channel_record *channel = record_channel(&record, at_us(0));
    assert_true(has(&record, &facts, "cut-without-close"));
    channel->finished = at_us(US_PER_S + 1);
    assert_false(has(&record, &facts, "close-unanswered")); /* not two seconds ago */
    channel->finished = at_us(US_PER_S);
    assert_true(has(&record, &facts, "close-unanswered"));
    channel->at.close = at_us(2 * US_PER_S);
    assert_false(has(&record, &facts, "close-unanswered"));
    assert_false(has(&record, &facts, "cut-without-close"));
    record_end(&record);
}

static void test_closed_channels_are_kept_up_to_a_bound(void **state)
{
    (void)state;
    struct record record;
    record_begin(&record, at_us(0), false);
    struct channel_record *open = record_channel(&record, at_us(0));
    for (int i = 0; i < 5; i++) {
        struct channel_record *channel = record_channel(&record, at_us(i));
        channel->at.eof = at_us(i + 1);
        record_channel_gone(&record, channel);
    }
    assert_ptr_equal(record.first, open);
    assert_int_equal(record.last->number, 6);
    assert_ptr_equal(open->next, record.last);
    assert_int_equal(record.channels_left_out, 4);
    assert_int_equal(record.at.eof.ns, at_us(5).ns);
    record_end(&record);
}

static void test_terminal(void **state)
{
    (void)state;
    bool ends = true;
    assert_int_equal(terminal_plain_bytes((const uint8_t *)"abc\rd", 5), 3);
    assert_int_equal(terminal_plain_bytes((const uint8_t *)"\x04", 1), 0);
    assert_int_equal(terminal_plain_bytes((const uint8_t *)"\n\t [A\xc3\xa4", 7), 7);
    assert_int_equal(terminal_plain_bytes((const uint8_t *)"a\x1b[A", 4), 1);
    assert_string_equal(terminal_answer(0x1b, &ends), "^[");
    assert_false(ends);
    assert_string_equal(terminal_answer(0, &ends), "^@");
    assert_string_equal(terminal_answer(0x15, &ends), "^U");
    assert_string_equal(terminal_answer(0x7f, &ends), "\b \b");
    assert_string_equal(terminal_answer('\r', &ends), "\r\n");
    assert_false(ends);
    (void)terminal_answer(0x03, &ends);
    assert_true(ends);
    (void)terminal_answer(0x04, &ends);
    assert_true(ends);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_version_lines),
        cmocka_unit_test(test_hassh_is_as_published),
        cmocka_unit_test(test_the_same_offer_is_kept_once),
        cmocka_unit_test(test_what_is_kept_of_offers_is_bounded),
        cmocka_unit_test(test_remarks_on_the_offer),
        cmocka_unit_test(test_remarks_on_keys),
        cmocka_unit_test(test_remarks_on_windows),
        cmocka_unit_test(test_a_slow_user_is_no_fault_of_the_client),
        cmocka_unit_test(test_remarks_on_packets),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_remarks_on_ends),
        cmocka_unit_test(test_closed_channels_are_kept_up_to_a_bound),
        cmocka_unit_test(test_terminal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
