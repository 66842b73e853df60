/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "vault/versions.h"

#include <errno.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <stdlib.h>
#include <string.h>

#define ENTRIES 10000

static uint64_t numbers = 88172645463325252;

static uint64_t number(uint64_t below)
{
    numbers ^= numbers << 13, numbers ^= numbers >> 7, numbers ^= numbers << 17;
    return numbers % below;
}

/* Order and detours leave nothing; an entry without a version is not among them. */
static void test_moves(void **state)
{
    struct versions a = {0}, b = {0};

    for (uint64_t id = 1; id <= 50; id++)
        for (uint64_t version = 0; version < id; version++)
            versions_move(&a, id, version, version + 1);
    for (uint64_t id = 50; id > 0; id--)
        versions_move(&b, id, 0, id);
    assert_memory_equal(&a, &b, sizeof(a));
    versions_move(&a, 7, 7, 0);
    versions_subtract(&b, &a);
    assert_false(versions_are_none(&b));
    assert_int_equal(versions_stored(&b, 7, 0), 7);
    versions_move(&b, 7, 7, 0);
    assert_true(versions_are_none(&b));
    versions_move(&b, 7, 0, 0);
    assert_true(versions_are_none(&b));
}

/* Of ten thousand, `n` are at other versions than was stored: each is told, with the version that was stored, and no
 * other. Returns how many were not told. */
static size_t tell(size_t n)
{
    static uint64_t ids[ENTRIES], stored[ENTRIES], found[ENTRIES];
    struct versions difference = {0}, sum = {0};
    bool some = true;
    size_t missed = 0;

    for (size_t i = 0; i < ENTRIES; i++) {
        ids[i] = number(UINT64_MAX);
        stored[i] = found[i] = number(100000);
        versions_move(&difference, ids[i], 0, stored[i]);
    }
    for (size_t i = 0; i < n; i++)
        found[i] = i % 7 == 0 ? stored[i] + 1 + number(50) : number(stored[i] + 1);
    for (size_t i = 0; i < ENTRIES; i++)
        versions_move(&sum, ids[i], 0, found[i]);
    versions_subtract(&difference, &sum);
    while (some) {
        some = false;
        for (size_t i = 0; i < ENTRIES; i++) {
            uint64_t told = versions_stored(&difference, ids[i], found[i]);

            if (told == found[i])
                continue;
            assert_int_equal(told, stored[i]);
            versions_move(&difference, ids[i], told, found[i]);
            found[i] = told;
            some = true;
        }
    }
    for (size_t i = 0; i < ENTRIES; i++)
        missed += stored[i] != found[i];
    assert_int_equal(versions_are_none(&difference), missed == 0);
    return missed;
}

static void test_tells(void **state)
{
    size_t failed = 0;

    assert_int_equal(tell(0), 0);
    for (int round = 0; round < 50; round++)
        assert_int_equal(tell(1), 0);
    for (int round = 0; round < 50; round++)
        failed += tell(1 + number(40)) > 0;
    assert_int_equal(failed, 0);
    assert_true(tell(1000) > 0); /* too many: no wrong one is told */
}

static void test_seal(void **state)
{
    static const uint8_t id[VAULT_ID_SIZE] = {1}, other_id[VAULT_ID_SIZE] = {2};
    uint8_t sealed[VERSIONS_SEALED_SIZE];
    struct arena *arena = NULL;
    struct secret *key = NULL, *other = NULL;
    struct versions v = {0}, back = {0};

    assert_int_equal(arena_new(&arena, NULL), 0);
    assert_int_equal(secret_random(arena, SEAL_KEY_SIZE, &key), 0);
    assert_int_equal(secret_random(arena, SEAL_KEY_SIZE, &other), 0);
    versions_move(&v, 1, 0, UINT64_MAX);
    versions_move(&v, UINT64_MAX, 0, 17);
    assert_int_equal(versions_seal(key, id, &v, sealed), 0);
    assert_int_equal(versions_open(key, id, sealed, sizeof(sealed), &back), 0);
    assert_memory_equal(&v, &back, sizeof(v));
    assert_int_equal(versions_open(key, id, sealed, sizeof(sealed) - 1, &back), -EBADMSG);
    assert_int_equal(versions_open(key, id, sealed, 0, &back), -EBADMSG);
    assert_int_equal(versions_open(other, id, sealed, sizeof(sealed), &back), -EBADMSG);
    assert_int_equal(versions_open(key, other_id, sealed, sizeof(sealed), &back), -EBADMSG);
    for (size_t i = 0; i < sizeof(sealed); i += 7) {
        sealed[i] ^= 0x40;
        assert_int_equal(versions_open(key, id, sealed, sizeof(sealed), &back), -EBADMSG);
        sealed[i] ^= 0x40;
    }
    secret_free(key);
    secret_free(other);
    arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_moves),
        cmocka_unit_test(test_tells),
        cmocka_unit_test(test_seal),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
