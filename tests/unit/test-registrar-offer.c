/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How a key is written for a registrar: in the wrong form it locks a device out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/encode.h"
#include "base/json.h"
#include "registrar/offer.h"

#include <cmocka.h>

#include "vault-scratch.h"

static const char raw[] = "0123456789abcdef\"\\ \x7f~xyzxyzxyzxyz", text[] = "an old \"secret\" of \\this\\ pump";

static struct vault_entry *put(struct scratch *s, const char *device, const char *key, size_t n)
{
    struct vault_change *c = vault_change_new(s->vault, device, "cloud");
    struct secret *secret;
    struct error e = {0};

    assert_int_equal(secret_new(s->arena, &secret), 0);
    memcpy(secret->bytes, key, n);
    secret->size = n;
    if (vault_change_put(c, VAULT_BACKUP, device, VAULT_PSK, secret, VAULT_FORCE_WEAK, &e) < 0 ||
        vault_commit_sync(s->vault, c, &e) < 0)
        fail_msg("%s", e.text);
    secret_free(secret);
    return vault_find(s->vault, device, "cloud");
}

/* The key as the registrar reads it. */
static void check_written(struct scratch *s, struct vault_entry *entry, enum vault_encoding encoding, const char *key)
{
    const struct registrar_credential credential = {.vault = s->vault, .entry = entry, .slot = VAULT_BACKUP};
    json_object *o = NULL;
    struct error e = {0};
    char *request;

    if (offer_request("{\"a\":1", &credential, encoding, &request, &e) < 0)
        fail_msg("%s", e.text);
    assert_int_equal(json_parse(request, strlen(request), &o, &e), 0);
    assert_string_equal(json_get_string(o, "encoding"), vault_encoding_to_string(encoding));
    assert_string_equal(json_get_string(o, "key"), key);
    json_object_put(o);
    offer_free(request);
}

static void test_encodings(void **state)
{
    struct scratch *s = *state;
    struct vault_entry *entry = put(s, "boiler-1", raw, sizeof(raw) - 1);
    char hex[HEX_SIZE(KEY_MAX)], base64[BASE64_SIZE(KEY_MAX)];
    struct registrar_credential credential = {.vault = s->vault, .entry = entry, .slot = VAULT_BACKUP};
    struct error e = {0};
    char *request;

    hex_encode(raw, sizeof(raw) - 1, hex);
    base64_encode(raw, sizeof(raw) - 1, base64);
    check_written(s, entry, VAULT_HEX, hex);
    check_written(s, entry, VAULT_BASE64, base64);
    assert_int_equal(offer_request("{\"a\":1", &credential, VAULT_TEXT, &request, &e), -EILSEQ);
    assert_non_null(strstr(e.text, "rotate"));
    assert_int_equal(offer_request("{\"a\":1", &credential, VAULT_RAW, &request, &e), -EINVAL);
    check_written(s, put(s, "pump", text, sizeof(text) - 1), VAULT_TEXT, text);
}

static void test_longest(void **state)
{
    char key[KEY_MAX + 1];

    memset(key, '\\', KEY_MAX);
    key[KEY_MAX] = 0;
    check_written(*state, put(*state, "longest", key, KEY_MAX), VAULT_TEXT, key);
}

static void test_without_key(void **state)
{
    char *request;

    assert_int_equal(offer_request("{\"a\":1", NULL, VAULT_HEX, &request, NULL), 0);
    assert_string_equal(request, "{\"a\":1}");
    offer_free(request);
}

static void test_generated(void **state)
{
    struct scratch *s = *state;
    struct secret *key, *other;

    assert_int_equal(vault_key_generate(s->vault, true, &key), 0);
    assert_int_equal(key->size, 64);
    for (size_t i = 0; i < key->size; i++)
        assert_non_null(memchr("0123456789abcdef", key->bytes[i], 16));
    assert_int_equal(vault_key_generate(s->vault, true, &other), 0);
    assert_memory_not_equal(key->bytes, other->bytes, 64);
    secret_free(other);
    assert_int_equal(vault_key_generate(s->vault, false, &other), 0);
    assert_int_equal(other->size, KEY_GENERATED_SIZE);
    secret_free(other);
    secret_free(key);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_encodings, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(test_longest, scratch_setup, scratch_teardown),
        cmocka_unit_test(test_without_key),
        cmocka_unit_test_setup_teardown(test_generated, scratch_setup, scratch_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
