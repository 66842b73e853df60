/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A sealed record opens only where, and as what, it was sealed; any byte changed and it does not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "vault-scratch.h"
#include "vault/record.h"

static const uint8_t vault_id[VAULT_ID_SIZE] = "0123456789abcdef", other_id[VAULT_ID_SIZE] = "0123456789abcdeX";
static const struct record_place place = {vault_id, "boiler-1", "cloud"};

struct world {
    struct arena *arena;
    struct secret *record_key, *key;
    uint8_t record[RECORD_MAX];
    size_t size;
};

static void seal(struct world *w, const char *identity, size_t key_size, uint8_t slot, uint64_t generation)
{
    struct record_header header = {.kind = VAULT_PSK, .slot = slot, .generation = generation};

    snprintf(header.identity, sizeof(header.identity), "%s", identity);
    w->key->size = key_size;
    assert_int_equal(record_seal(w->record_key, &place, &header, w->key, w->record, &w->size), 0);
}

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof(*w));

    assert_int_equal(arena_new(&w->arena, NULL), 0);
    assert_int_equal(secret_random(w->arena, SEAL_KEY_SIZE, &w->record_key), 0);
    assert_int_equal(secret_random(w->arena, KEY_MAX, &w->key), 0);
    seal(w, "identity", 32, 1, 42);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;

    secret_free(w->record_key);
    secret_free(w->key);
    assert_int_equal(arena_cells_free(w->arena), ARENA_CELLS);
    arena_free(w->arena);
    free(w);
    return 0;
}

static int try(struct world *w, const struct record_place *where, uint8_t slot, uint64_t generation)
{
    _cleanup_(secret_freep) struct secret *key = NULL;
    int r = record_open(w->record_key, where, slot, generation, w->record, w->size, &key);

    if (r >= 0) {
        assert_int_equal(key->size, w->key->size);
        assert_memory_equal(key->bytes, w->key->bytes, key->size);
    } else {
        assert_null(key);
    }
    return r;
}

static void test_round_trip(void **state)
{
    struct world *w = *state;
    char longest[IDENTITY_MAX + 1] = {0};
    struct record_header header;

    memset(longest, 'x', IDENTITY_MAX);
    for (size_t n = KEY_MIN; n <= KEY_MAX; n++) {
        seal(w, n % 2 ? longest : "i", n, n % 3, n);
        assert_int_equal(try(w, &place, n % 3, n), 0);
        assert_int_equal(record_parse(w->record, w->size, &header), 0);
        assert_string_equal(header.identity, n % 2 ? longest : "i");
        assert_true(header.generation == n);
    }
    assert_int_equal(w->size, RECORD_HEADER_SIZE + 1 + SEAL_OVERHEAD + KEY_MAX);
}

static void test_only_in_its_place(void **state)
{
    struct world *w = *state;
    const struct record_place device = {vault_id, "boiler-2", "cloud"}, uplink = {vault_id, "boiler-1", "clouds"},
                              vault = {other_id, "boiler-1", "cloud"}, shifted = {vault_id, "boiler-1c", "loud"};

    assert_int_equal(try(w, &place, 1, 42), 0);
    assert_int_equal(try(w, &device, 1, 42), -EBADMSG);
    assert_int_equal(try(w, &uplink, 1, 42), -EBADMSG);
    assert_int_equal(try(w, &vault, 1, 42), -EBADMSG);
    assert_int_equal(try(w, &shifted, 1, 42), -EBADMSG);
    assert_int_equal(try(w, &place, 0, 42), -EBADMSG);
    assert_int_equal(try(w, &place, 1, 41), -EBADMSG);
    assert_int_equal(try(w, &place, 1, 43), -EBADMSG);
    /* The claim altered to fit does not help: it is what was authenticated. */
    w->record[6] = 0;
    assert_int_equal(try(w, &place, 0, 42), -EBADMSG);
    w->record[6] = 1;
    w->record[15] = 43;
    assert_int_equal(try(w, &place, 1, 43), -EBADMSG);
    w->record[15] = 42;
    w->record[5] = VAULT_BIND;
    assert_int_equal(try(w, &place, 1, 42), -EBADMSG);
}

static void test_every_bit(void **state)
{
    struct world *w = *state;

    for (size_t i = 0; i < w->size * 8; i++) {
        w->record[i / 8] ^= (uint8_t)(1u << i % 8);
        if (try(w, &place, 1, 42) != -EBADMSG)
            fail_msg("bit %zu", i);
        w->record[i / 8] ^= (uint8_t)(1u << i % 8);
    }
    assert_int_equal(try(w, &place, 1, 42), 0);
}

static void test_every_length(void **state)
{
    struct world *w = *state;
    uint8_t larger[RECORD_MAX + 64] = {0};
    size_t whole = w->size;

    for (w->size = 0; w->size < whole; w->size++)
        assert_int_equal(try(w, &place, 1, 42), -EBADMSG);
    memcpy(larger, w->record, whole);
    for (size_t n = whole + 1; n <= sizeof(larger); n++) {
        struct secret *key = NULL;

        assert_int_equal(record_open(w->record_key, &place, 1, 42, larger, n, &key), -EBADMSG);
    }
}

static void test_nonces_differ(void **state)
{
    struct world *w = *state;
    uint8_t first[RECORD_MAX];

    memcpy(first, w->record, w->size);
    seal(w, "identity", 32, 1, 42);
    assert_memory_not_equal(first + RECORD_HEADER_SIZE + 8, w->record + RECORD_HEADER_SIZE + 8, SEAL_NONCE_SIZE);
    assert_null(memmem(w->record, w->size, w->key->bytes, 8));
}

static void test_not_sealed(void **state)
{
    struct world *w = *state;
    struct record_header header = {.kind = VAULT_PSK, .identity = "i"}, none = header, bad_slot = header;
    size_t size;

    *none.identity = 0;
    bad_slot.slot = 3;
    w->key->size = 32;
    assert_int_equal(record_seal(w->record_key, &place, &none, w->key, w->record, &size), -EINVAL);
    assert_int_equal(record_seal(w->record_key, &place, &bad_slot, w->key, w->record, &size), -EINVAL);
    w->key->size = KEY_MIN - 1;
    assert_int_equal(record_seal(w->record_key, &place, &header, w->key, w->record, &size), -EINVAL);
    w->key->size = KEY_MAX + 1;
    assert_int_equal(record_seal(w->record_key, &place, &header, w->key, w->record, &size), -EINVAL);
}

#define RECORD_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RECORD_TEST(test_round_trip),   RECORD_TEST(test_only_in_its_place), RECORD_TEST(test_every_bit),
        RECORD_TEST(test_every_length), RECORD_TEST(test_nonces_differ),     RECORD_TEST(test_not_sealed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
