/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* CBOR of others as JSON: the examples of RFC 8949 appendix A, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/encode.h"
#include "base/json.h"
#include "base/limits.h"
#include "payload/cbor.h"

#include <cmocka.h>
#include <errno.h>
#include <string.h>

static int parse(const char *hex, json_object **ret, struct error *e)
{
    uint8_t data[512];
    ssize_t n = hex_decode(hex, strlen(hex), data, sizeof(data));

    assert_true(n >= 0);
    return cbor_parse(data, (size_t)n, ret, e);
}

static const struct {
    const char *hex, *json;
} examples[] = {
    {"00", "0"},
    {"17", "23"},
    {"1818", "24"},
    {"1903e8", "1000"},
    {"1a000f4240", "1000000"},
    {"1b000000e8d4a51000", "1000000000000"},
    {"1bffffffffffffffff", "18446744073709551615"},
    {"20", "-1"},
    {"3863", "-100"},
    {"3903e7", "-1000"},
    {"3a000f423f", "-1000000"},
    {"3b7fffffffffffffff", "-9223372036854775808"},
    {"3bffffffffffffffff", "-1.8446744073709552e+19"},
    {"f90000", "0.0"},
    {"f93e00", "1.5"},
    {"f97bff", "65504.0"},
    {"fa47c35000", "100000.0"},
    {"fb3ff199999999999a", "1.1000000000000001"},
    {"fbc010666666666666", "-4.0999999999999996"},
    {"f90001", "5.9604644775390625e-08"},
    {"f97c00", "null"}, /* infinite, */
    {"f97e00", "null"}, /* and no number */
    {"f4", "false"},
    {"f5", "true"},
    {"f6", "null"},
    {"f7", "null"}, /* undefined */
    {"c11a514b67b0", "1363896240"},
    {"c249010000000000000000", "null"}, /* 2^64 as bytes under a tag */
    {"4401020304", "null"},
    {"60", "\"\""},
    {"62225c", "\"\\\"\\\\\""},
    {"64f0908591", "\"\xf0\x90\x85\x91\""},
    {"80", "[]"},
    {"8301820203820405", "[1,[2,3],[4,5]]"},
    {"a0", "{}"},
    {"a201020304", "{\"1\":2,\"3\":4}"},
    {"a26161016162820203", "{\"a\":1,\"b\":[2,3]}"},
    {"826161a161626163", "[\"a\",{\"b\":\"c\"}]"},
    {"5f42010243030405ff", "null"},
    {"7f657374726561646d696e67ff", "\"streaming\""},
    {"7fff", "\"\""},
    {"9fff", "[]"},
    {"9f018202039f0405ffff", "[1,[2,3],[4,5]]"},
    {"83018202039f0405ff", "[1,[2,3],[4,5]]"},
    {"bf61610161629f0203ffff", "{\"a\":1,\"b\":[2,3]}"},
    {"bf6346756ef563416d7421ff", "{\"Fun\":true,\"Amt\":-2}"},
    {"bf20f4ff", "{\"-1\":false}"},
};

static void test_examples(void **state)
{
    for (size_t i = 0; i < ELEMENTSOF(examples); i++) {
        _cleanup_json_ json_object *o = NULL;
        struct error e = {""};
        int r = parse(examples[i].hex, &o, &e);
        const char *json = r < 0 ? e.text : json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN);

        if (r != 0 || strcmp(json, examples[i].json) != 0)
            fail_msg("%s: %d, %s", examples[i].hex, r, json);
    }
}

static void test_refused(void **state)
{
    static const struct {
        const char *hex, *words;
    } table[] = {
        {"", "byte 0: it ends in the middle"},
        {"18", "byte 0: it ends in the middle"},
        {"0000", "byte 1: something stands behind the end"},
        {"c1", "byte 1: it ends in the middle"},
        {"1c", "byte 0: not a beginning"},
        {"f8", "byte 0: "},
        {"ff", "byte 0: an end of what has not begun"},
        {"8201ff", "byte 2: an end of what has not begun"},
        {"bf6161ff", "byte 3: an end of what has not begun, or of half a pair"},
        {"a1616101616102", "byte 4: something stands behind the end"},
        {"a2616101616102", "byte 4: a key is here twice"},
        {"a201016131f5", "byte 3: a key is here twice"},
        {"a1f501", "byte 1: a key that is neither"},
        {"a18001", "byte 1: a key that is neither"},
        {"a1f601", "byte 1: a key that is neither"},
        {"61ff", "byte 0: a text is not UTF-8"},
        {"6100", "byte 0: a text has a NUL"},
        {"a1610001", "byte 1: a text has a NUL"},
        {"7f6161", "byte 3: it ends in the middle"},
        {"7f4161ff", "byte 1: something other than a chunk"},
        {"5f6161ff", "byte 1: something other than a chunk"},
        {"7f01ff", "byte 1: something other than a chunk"},
        {"7f7f6161ffff", "byte 1: a string in chunks within another"},
        {"7f80ff", "byte 1: something other than a chunk"},
        {"7f61ffff", "byte 3: a text is not UTF-8"},
        {"9b0000ffffffffffff", "byte 0: an array or map claims more"},
        {"bbffffffffffffffff", "byte 0: an array or map claims more"},
        {"bb8000000000000000", "byte 0: an array or map claims more"},
        {"7b7fffffffffffffff61", "byte 0: it ends in the middle"},
        {"5bffffffffffffffff61", "byte 0: it ends in the middle"},
    };

    for (size_t i = 0; i < ELEMENTSOF(table); i++) {
        json_object *o = NULL;
        struct error e = {""};
        int r;

        r = parse(table[i].hex, &o, &e);
        if (r != -EBADMSG || o || !strstr(e.text, table[i].words))
            fail_msg("%s: %d, %s; expected %s", table[i].hex, r, e.text, table[i].words);
        assert_int_equal(parse(table[i].hex, &o, NULL), -EBADMSG);
    }
}

/* As deep as JSON may be, and no deeper. */
static void test_deep(void **state)
{
    uint8_t data[64];

    for (size_t deep = 1; deep < sizeof(data); deep++) {
        _cleanup_json_ json_object *o = NULL, *again = NULL;
        struct error e = {""};
        const char *text;
        int r;

        memset(data, 0x81, deep);
        data[deep] = 0x01;
        r = cbor_parse(data, deep + 1, &o, &e);
        if (r < 0) {
            assert_true(deep == 32 && strstr(e.text, "nested more deeply"));
            return;
        }
        text = json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN);
        assert_int_equal(json_parse(text, strlen(text), &again, NULL), 0);
    }
    fail();
}

/* One byte may be an array or a map, which take hundreds each as they are kept. */
static void test_many(void **state)
{
    for (size_t n = COMMAND_CONTAINERS_MAX - 1; n <= COMMAND_CONTAINERS_MAX; n++) {
        uint8_t data[COMMAND_CONTAINERS_MAX + 2];
        _cleanup_json_ json_object *o = NULL;
        struct error e = {""};

        data[0] = 0x9f;
        memset(data + 1, 0xa0, n);
        data[n + 1] = 0xff;
        assert_int_equal(cbor_parse(data, n + 2, &o, &e), n < COMMAND_CONTAINERS_MAX ? 0 : -EBADMSG);
        if (n == COMMAND_CONTAINERS_MAX)
            assert_non_null(strstr(e.text, "more arrays and maps"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_examples),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_deep),
        cmocka_unit_test(test_many),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
