/* What is sent, and whether what comes back is that. */
#include "load/plan/content.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void test_content_agrees_with_itself_only(void **state)
{
    (void)state;
    content_prepare();
    static uint8_t copy[3 * 65536];
    const enum content_kind kinds[] = {CONTENT_BINARY, CONTENT_TEXT, CONTENT_CHARGEN};
    for (size_t k = 0; k < 3; k++) {
        for (size_t at = 0; at < sizeof copy; at += 65536) {
            memcpy(copy + at, content_at(kinds[k], 77, 123456 + at), 65536);
        }
        assert_int_equal(content_agreeing(kinds[k], 77, 123456, copy, sizeof copy), sizeof copy);
        for (size_t at = 0; at < sizeof copy; at += 13331) {
            copy[at] ^= 0x20;
            assert_int_equal(content_agreeing(kinds[k], 77, 123456, copy, sizeof copy), at);
            copy[at] ^= 0x20;
        }
    }
    memcpy(copy, content_at(CONTENT_BINARY, 5, 0), 65536);
    assert_true(content_agreeing(CONTENT_BINARY, 6, 0, copy, 64) < 64);
    for (uint64_t shift = 1; shift < 65521; shift *= 2) { /* any power of two lost or doubled shows at once */
        assert_true(content_agreeing(CONTENT_BINARY, 5, shift, copy, 64) < 64);
        assert_true(content_agreeing(CONTENT_TEXT, 5, shift, content_at(CONTENT_TEXT, 5, 0), 64) < 64);
    }
}

static void test_chargen_is_rfc_864(void **state)
{
    (void)state;
    content_prepare();
    const char *lines = (const char *)content_at(CONTENT_CHARGEN, 0, 0);
    assert_memory_equal(lines, " !\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefg\r\n", 74);
    assert_memory_equal(lines + 74, "!\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefgh\r\n",
                        74);
    assert_memory_equal((const char *)content_at(CONTENT_CHARGEN, 9, UINT64_C(74) * 95), lines, 74);
}

static void test_text_holds_nothing_that_a_shell_acts_on(void **state)
{
    (void)state;
    content_prepare();
    const uint8_t *text = content_at(CONTENT_TEXT, 0, 0);
    for (size_t i = 0; i < CONTENT_RUN_MAX; i++) {
        assert_non_null(strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.", text[i]));
        assert_int_not_equal(text[i], 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_content_agrees_with_itself_only),
        cmocka_unit_test(test_chargen_is_rfc_864),
        cmocka_unit_test(test_text_holds_nothing_that_a_shell_acts_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
