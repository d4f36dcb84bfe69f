/* crypto_shortcuts.h: what is served and what is not, and that nothing is shared over fork. */
#include "sshecho/crypto_shortcuts.h"

#include <openssl/evp.h>
#include <openssl/rand.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define DRAW 16
#define KEY 32

static int set_up(void **state)
{
    (void)state;
    return crypto_shortcuts_start() ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    crypto_shortcuts_stop();
    return 0;
}

static void draws_differ_and_are_counted(void **state)
{
    (void)state;
    unsigned char all[1000][DRAW];
    crypto_enter(NULL);
    for (size_t i = 0; i < 1000; i++) { /* some fills of the pool */
        assert_int_equal(RAND_bytes(all[i], DRAW), 1);
        for (size_t j = 0; j < i; j++) {
            assert_memory_not_equal(all[i], all[j], DRAW);
        }
    }
    crypto_leave();
    assert_int_equal(crypto_shortcuts_served().draws, 1000);
}

static void nothing_is_served_outside_of_a_section(void **state)
{
    (void)state;
    unsigned char bytes[DRAW];
    assert_int_equal(RAND_bytes(bytes, sizeof bytes), 1);
    assert_int_equal(crypto_shortcuts_served().draws, 0);
    crypto_enter(NULL);
    crypto_leave();
    assert_int_equal(RAND_bytes(bytes, sizeof bytes), 1);
    assert_int_equal(crypto_shortcuts_served().draws, 0);
}

static void what_may_be_a_key_does_not_come_from_the_pool(void **state)
{
    (void)state;
    unsigned char bytes[KEY];
    crypto_enter(NULL);
    assert_int_equal(RAND_bytes(bytes, KEY), 1);
    crypto_leave();
    assert_int_equal(crypto_shortcuts_served().draws, 0);
}

static void draws_end_where_they_are_bounded(void **state)
{
    (void)state;
    unsigned char bytes[DRAW];
    crypto_enter(NULL);
    crypto_allow_draws(2);
    assert_int_equal(RAND_bytes(bytes, DRAW), 1);
    assert_int_equal(RAND_bytes(bytes, DRAW), 1);
    assert_int_equal(RAND_bytes(bytes, DRAW), 0);
    assert_int_equal(RAND_bytes(bytes, DRAW), 0);
    crypto_allow_draws(CRYPTO_ANY);
    assert_int_equal(RAND_bytes(bytes, DRAW), 1);
    crypto_allow_draws(0);
    crypto_leave();
    crypto_enter(NULL); /* a bound does not outlive its section */
    assert_int_equal(RAND_bytes(bytes, DRAW), 1);
    crypto_leave();
    assert_int_equal(crypto_shortcuts_served().draws_refused, 2);
}

/* A child in the middle of the parent's pool and section draws something else, from libcrypto. */
static void a_child_shares_nothing(void **state)
{
    (void)state;
    unsigned char mine[DRAW];
    unsigned char theirs[DRAW + 1] = {0};
    int tube[2];
    assert_int_equal(pipe(tube), 0);
    crypto_enter(NULL);
    assert_int_equal(RAND_bytes(mine, DRAW), 1);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        theirs[DRAW] = crypto_shortcuts_are_on() ? 1 : 0;
        bool drawn = RAND_bytes(theirs, DRAW) == 1;
        _exit(drawn && write(tube[1], theirs, sizeof theirs) == (ssize_t)sizeof theirs ? 0 : 1);
    }
    assert_int_equal(RAND_bytes(mine, DRAW), 1); /* what the child would have drawn */
    crypto_leave();
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(read(tube[0], theirs, sizeof theirs), sizeof theirs);
    assert_int_equal(theirs[DRAW], 0);
    assert_memory_not_equal(mine, theirs, DRAW);
    (void)close(tube[0]);
    (void)close(tube[1]);
}

static void assert_made_of(EVP_PKEY *key, const unsigned char *bytes)
{
    unsigned char raw[KEY];
    size_t size = sizeof raw;
    assert_non_null(key);
    assert_int_equal(EVP_PKEY_get_raw_private_key(key, raw, &size), 1);
    assert_int_equal(size, KEY);
    assert_memory_equal(raw, bytes, KEY);
}

static void the_same_host_key_is_built_once(void **state)
{
    (void)state;
    unsigned char one[KEY] = {1};
    unsigned char other[KEY] = {1, [KEY - 1] = 1};
    crypto_enter(NULL);
    EVP_PKEY *first = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, one, KEY);
    EVP_PKEY *second = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, one, KEY);
    EVP_PKEY *third = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, other, KEY);
    crypto_leave();
    assert_made_of(first, one);
    assert_ptr_equal(first, second);
    assert_made_of(third, other);
    assert_int_equal(crypto_shortcuts_served().host_keys, 1);
    EVP_PKEY_free(first);
    EVP_PKEY_free(second);
    EVP_PKEY_free(third);
}

static void the_key_just_read_is_given_back_once(void **state)
{
    (void)state;
    struct crypto_kept kept = {NULL};
    struct crypto_kept elsewhere = {NULL};
    unsigned char raw[KEY];
    unsigned char changed[KEY];
    size_t size = sizeof raw;
    EVP_PKEY *made = EVP_PKEY_Q_keygen(NULL, NULL, "X25519");
    assert_non_null(made);
    crypto_enter(&kept);
    assert_int_equal(EVP_PKEY_get_raw_private_key(made, raw, &size), 1);
    crypto_leave();
    crypto_enter(&elsewhere); /* another session sees nothing of it */
    EVP_PKEY *unserved = EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, NULL, raw, KEY);
    crypto_leave();
    assert_ptr_not_equal(unserved, made);
    memcpy(changed, raw, KEY);
    changed[8] ^= 1;
    crypto_enter(&kept);
    EVP_PKEY *different = EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, NULL, changed, KEY);
    EVP_PKEY *same = EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, NULL, raw, KEY);
    EVP_PKEY *again = EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, NULL, raw, KEY);
    crypto_leave();
    assert_ptr_equal(same, made);
    assert_null(kept.x25519);
    assert_ptr_not_equal(different, made);
    assert_ptr_not_equal(again, made);
    assert_int_equal(crypto_shortcuts_served().ephemeral_keys, 1);
    EVP_PKEY_free(made);
    EVP_PKEY_free(unserved);
    EVP_PKEY_free(different);
    EVP_PKEY_free(same);
    EVP_PKEY_free(again);
}

/* Under the leak checker: nothing stays behind a session that ended in the middle of its exchange. */
static void an_abandoned_exchange_keeps_no_key(void **state)
{
    (void)state;
    struct crypto_kept kept = {NULL};
    unsigned char raw[KEY];
    size_t size = sizeof raw;
    EVP_PKEY *made = EVP_PKEY_Q_keygen(NULL, NULL, "X25519");
    crypto_enter(&kept);
    assert_int_equal(EVP_PKEY_get_raw_private_key(made, raw, &size), 1);
    crypto_leave();
    EVP_PKEY_free(made);
    assert_non_null(kept.x25519);
    crypto_kept_free(&kept);
    assert_null(kept.x25519);
}

int main(void)
{
    if (!crypto_shortcuts_are_built()) {
        return 0;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(draws_differ_and_are_counted, set_up, tear_down),
        cmocka_unit_test_setup_teardown(nothing_is_served_outside_of_a_section, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_may_be_a_key_does_not_come_from_the_pool, set_up, tear_down),
        cmocka_unit_test_setup_teardown(draws_end_where_they_are_bounded, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_child_shares_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_same_host_key_is_built_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_key_just_read_is_given_back_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_abandoned_exchange_keeps_no_key, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
