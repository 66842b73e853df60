/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* State records: nothing is lost on the way, a later version's tags are kept, what no writer writes is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "vault-scratch.h"
#include "vault/state.h"

static struct state full(void)
{
    struct state s = {.main_slot = 1,
                      .identity_counter = UINT64_MAX,
                      .generation = 9,
                      .version = UINT64_MAX,
                      .rotation_size = VAULT_ROTATION_MAX};

    memset(s.rotation, 0xa5, sizeof(s.rotation));
    for (int i = 0; i < 2; i++) {
        s.slots[i] = (struct state_slot){true, (uint64_t)i + 8, 1700000000000000, 1, ""};
        memset(s.slots[i].cloud_id, 'c', CLOUD_ID_MAX);
    }
    return s;
}

static void test_round_trip(void **state)
{
    const struct state states[] = {
        {0}, {.removed = true, .identity_counter = 3, .generation = 2}, full(), {.restored = true, .main_slot = 1}};
    uint8_t data[VAULT_STATE_MAX];

    for (size_t i = 0; i < ELEMENTSOF(states); i++) {
        struct state back;
        size_t n = state_encode(&states[i], data);

        assert_int_equal(state_decode(data, n, &back), 0);
        assert_memory_equal(&back, &states[i], sizeof(back));
        for (size_t cut = 1; cut < n; cut++)
            if (state_decode(data, cut, &back) >= 0 && memcmp(&back, &states[i], sizeof(back)) == 0)
                fail_msg("state %zu cut at %zu passes for whole", i, cut);
    }
}

/* Two tags of a later version, one with a number among ours. */
static void test_unknown_kept(void **state)
{
    static const uint8_t data[] = {0, 2, 0, 1, 1, 0, 9, 0, 2, 'h', 'i', 0x12, 0x34, 0, 0};
    uint8_t again[VAULT_STATE_MAX], third[VAULT_STATE_MAX];
    struct state s, back;
    size_t n;

    assert_int_equal(state_decode(data, sizeof(data), &s), 0);
    assert_int_equal(s.main_slot, 1);
    assert_int_equal(s.unknown_size, 10);
    s.generation = 5;
    n = state_encode(&s, again);
    assert_int_equal(state_decode(again, n, &back), 0);
    assert_memory_equal(&back, &s, sizeof(s));
    assert_int_equal(state_encode(&back, third), n);
    assert_memory_equal(third, again, n);
}

#define T(...) (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__})
static const struct {
    const char *name;
    const uint8_t *data;
    size_t size;
} bad[] = {
    {"a tag cut off", T(0)},
    {"a length cut off", T(0, 2, 0)},
    {"a value cut off", T(0, 2, 0, 1)},
    {"tag 0", T(0, 0, 0, 0)},
    {"main slot 2", T(0, 2, 0, 1, 2)},
    {"main slot twice", T(0, 2, 0, 1, 0, 0, 2, 0, 1, 0)},
    {"main slot of two bytes", T(0, 2, 0, 2, 0, 0)},
    {"a counter of 7 bytes", T(0, 3, 0, 7, 1, 1, 1, 1, 1, 1, 1)},
    {"a counter of 0", T(0, 3, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0)},
    {"a cloud id without a credential", T(0, 0x13, 0, 1, 'c')},
    {"a cloud id with a newline",
     T(0, 4, 0, 8, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0x10, 0, 8, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0x13, 0, 1, 10)},
    {"a slot newer than the entry", T(0, 0x10, 0, 8, 0, 0, 0, 0, 0, 0, 0, 1)},
    {"removed, with a credential",
     T(0, 1, 0, 1, 1, 0, 4, 0, 8, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0x10, 0, 8, 0, 0, 0, 0, 0, 0, 0, 1)},
    {"removed, with a rotation", T(0, 1, 0, 1, 1, 0, 5, 0, 1, 'r')},
    {"an empty rotation", T(0, 5, 0, 0)},
};

static void test_refused(void **state)
{
    for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
        struct state s;

        if (state_decode(bad[i].data, bad[i].size, &s) != -EBADMSG)
            fail_msg("%s", bad[i].name);
    }
}

static void test_too_much_unknown(void **state)
{
    uint8_t data[STATE_UNKNOWN_MAX + 8] = {0x20, 0, (STATE_UNKNOWN_MAX - 4) >> 8, (STATE_UNKNOWN_MAX - 4) & 0xff};
    struct state s;

    assert_int_equal(state_decode(data, STATE_UNKNOWN_MAX, &s), 0);
    data[3]++;
    assert_int_equal(state_decode(data, STATE_UNKNOWN_MAX + 1, &s), -EBADMSG);
}

static void test_sealed(void **state)
{
    static const uint8_t vault_id[VAULT_ID_SIZE] = "0123456789abcdef";
    const struct record_place place = {vault_id, "a", "cloud"}, other = {vault_id, "b", "cloud"};
    struct state s = full(), back;
    struct secret *key = NULL;
    struct arena *arena = NULL;
    uint8_t sealed[STATE_SEALED_MAX];
    size_t n;

    assert_int_equal(arena_new(&arena, NULL), 0);
    assert_int_equal(secret_random(arena, SEAL_KEY_SIZE, &key), 0);
    assert_int_equal(state_seal(key, &place, &s, sealed, &n), 0);
    assert_int_equal(state_open(key, &place, sealed, n, &back), 0);
    assert_memory_equal(&back, &s, sizeof(s));
    assert_int_equal(state_open(key, &other, sealed, n, &back), -EBADMSG);
    for (size_t i = 0; i < n; i++) {
        sealed[i] ^= 1;
        assert_int_equal(state_open(key, &place, sealed, n, &back), -EBADMSG);
        sealed[i] ^= 1;
        assert_int_equal(state_open(key, &place, sealed, i, &back), -EBADMSG);
    }
    secret_free(key);
    arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip), cmocka_unit_test(test_unknown_kept),     cmocka_unit_test(test_refused),
        cmocka_unit_test(test_sealed),     cmocka_unit_test(test_too_much_unknown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
