/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the prescan takes and refuses, and where it says that things stand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/json.h"
#include "base/prescan.h"

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* As it would be in a file: n bytes and a NUL, on the heap so that a sanitizer sees the end. */
static char *heap(const char *text, size_t n)
{
    char *copy = malloc(n + 1);

    assert_non_null(copy);
    memcpy(copy, text, n);
    copy[n] = 0;
    return copy;
}

static const struct {
    const char *text;
    unsigned line, column;
    const char *message; /* a part of it */
} bad[] = {
    {"", 1, 1, "found the end of the file, expected a value"},
    {"// only a comment", 1, 18, "found the end of the file, expected a value"},
    {"{", 1, 2, "found the end of the file, expected a key"},
    {"{\"a\":1", 1, 7, "expected ',' or '}'"},
    {"{\"a\":1,}", 1, 7, "trailing comma"},
    {"[1,2,\n]", 1, 5, "trailing comma"},
    {"[1,/**/]", 1, 3, "trailing comma"},
    {"[1 2]", 1, 4, "found '2', expected ',' or ']'"},
    {"{a:1}", 1, 2, "found 'a', expected a key in \"double quotes\""},
    {"{'a':1}", 1, 2, "expected a key in \"double quotes\""},
    {"{\"a\" 1}", 1, 6, "expected ':' behind the key"},
    {"{\"a\":}", 1, 6, "found '}', expected a value"},
    {"{,}", 1, 2, "found ',', expected a key"},
    {"[,1]", 1, 2, "found ',', expected a value"},
    {"{} x", 1, 4, "found 'x', expected the end of the file"},
    {"{}{}", 1, 3, "expected the end of the file"},
    {"{\"a\":1,\n  \"b\":2,\n  \"a\":3}", 3, 3, "the key \"a\" is here twice; it is already in line 1, column 2"},
    {"{\"a\":1,\"\\u0061\":2}", 1, 8, "the key \"a\" is here twice"},
    {"{\"x\":{\"a\":1},\"y\":{\"b\":1,\"b\":2}}", 1, 25, "the key \"b\" is here twice"},
    {"[True]", 1, 2, "found 'T', expected a value"},
    {"[NaN]", 1, 2, "expected a value"},
    {"[Infinity]", 1, 2, "expected a value"},
    {"[nul]", 1, 2, "expected a value"},
    {"[01]", 1, 2, "needless 0"},
    {"[+1]", 1, 2, "expected a value"},
    {"[1.]", 1, 4, "a digit behind the decimal point"},
    {"[.5]", 1, 2, "expected a value"},
    {"[1e]", 1, 4, "a digit in the exponent"},
    {"[-]", 1, 3, "expected a digit"},
    {"[1e999]", 1, 2, "too large"},
    {"[18446744073709551616]", 1, 2, "does not fit 64 bits"},
    {"[1,-9223372036854775809]", 1, 4, "does not fit 64 bits"},
    {"[0x10]", 1, 3, "found 'x'"},
    {"[\"a]", 1, 2, "this text has no end"},
    {"[\"a\n\"]", 1, 2, "this text has no end"},
    {"[\"a\tb\"]", 1, 4, "a control character (0x09)"},
    {"[\"\\x\"]", 1, 4, "behind a backslash"},
    {"[\"\\u12g4\"]", 1, 7, "four hex digits"},
    {"[\"\\u0000\"]", 1, 3, "NUL character"},
    {"[\"\\ud800\"]", 1, 3, "half of a surrogate pair"},
    {"[\"\\udc00\"]", 1, 3, "half of a surrogate pair"},
    {"[\"\\ud800\\u0041\"]", 1, 3, "does not end one"},
    {"/* never ends", 1, 1, "this comment has no end"},
    {"[1, /*/ ]", 1, 5, "this comment has no end"},
    {"[1] / 2", 1, 5, "found '/'"},
    {"\xef\xbb\xbf{}", 1, 1, "byte order mark"},
    {"[\"\xff\"]", 1, 3, "byte 0xff is not UTF-8"},
    {"[\"\xc0\xaf\"]", 1, 3, "byte 0xc0 is not UTF-8"},
    {"[\"\xed\xa0\x80\"]", 1, 3, "byte 0xed is not UTF-8"},
    {"// \xe4\n{}", 1, 4, "byte 0xe4 is not UTF-8"},
    /* Columns count characters, not bytes; lines end with \n, whatever stands before it. */
    {"{\"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\": x}", 1, 9, "found 'x'"},
    {"{\r\n\"a\":\r\n x}", 3, 2, "found 'x'"},
    {"/* \xc3\xa4 */ x", 1, 9, "found 'x'"},
};

static void test_refused(void **state)
{
    for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
        size_t n = strlen(bad[i].text);
        char *text = heap(bad[i].text, n);
        struct prescan *s = NULL;
        struct position at = {0};
        struct error e = {""};

        assert_int_equal(prescan_new(text, n, &s, &at, &e), -EBADMSG);
        if (!strstr(e.text, bad[i].message) || at.line != bad[i].line || at.column != bad[i].column)
            fail_msg("%s: %u:%u %s", bad[i].text, at.line, at.column, e.text);
        assert_null(s);
        free(text);
    }
}

static void test_nul_byte(void **state)
{
    static const char with_nul[] = "{}\0";
    char *text = heap(with_nul, 3);
    struct prescan *s = NULL;
    struct position at;
    struct error e;

    assert_int_equal(prescan_new(text, 3, &s, &at, &e), -EBADMSG);
    assert_int_equal(at.column, 3);
    free(text);
}

static const char *const good[] = {
    "{}",
    "[]",
    " \t\r\n1 ",
    "\"\\ud83d\\ude00 \\u00e4 \\\" \\\\ \\/ \\b\\f\\n\\r\\t\"",
    "[0,-0,1,-1,0.5,1e5,1E+5,1e-5,123456789012345678901234567890.0,18446744073709551615,-9223372036854775808]",
    "[\"\u00e4\u20ac\U0001f600\"]", /* as UTF-8 */
    "[true,false,null]",
    "{\"a\":{\"a\":{\"a\":1}},\"b\":[{\"a\":1},{\"a\":2}]}",
    "{\"A\":1,\"a\":2}",
    "/**/{/**/\"a\"/* : */:/***/1/*,*/,// }\n\"b\"//\n:2}//",
    "{\"a\":\"// no comment\",\"b\":\"/* nor this */\"}",
    "{\"\":1,\"/\":2,\"~\":3}",
    "[1//\r\n]",
};

static void test_accepted(void **state)
{
    for (size_t i = 0; i < ELEMENTSOF(good); i++) {
        size_t n = strlen(good[i]);
        char *text = heap(good[i], n);
        struct prescan *s = NULL;
        struct position at;
        json_object *o = NULL;
        struct error e = {""};

        if (prescan_new(text, n, &s, &at, &e) < 0)
            fail_msg("%s: %u:%u %s", good[i], at.line, at.column, e.text);
        assert_int_equal(strlen(text), n);
        if (json_parse(text, n, &o, &e) < 0)
            fail_msg("%s: json-c: %s", good[i], e.text);
        json_object_put(o);
        prescan_free(s);
        free(text);
    }
}

static void test_depth(void **state)
{
    for (int depth = 1; depth <= CONFIG_DEPTH_MAX + 2; depth++) {
        char text[2 * (CONFIG_DEPTH_MAX + 2) + 2];
        struct prescan *s = NULL;
        struct position at;
        json_object *o = NULL;
        struct error e;

        memset(text, '[', (size_t)depth);
        text[depth] = '1';
        memset(text + depth + 1, ']', (size_t)depth);
        text[2 * depth + 1] = 0;
        if (depth < CONFIG_DEPTH_MAX) {
            assert_int_equal(prescan_new(text, strlen(text), &s, &at, &e), 0);
            assert_int_equal(json_parse(text, strlen(text), &o, &e), 0);
            json_object_put(o);
            prescan_free(s);
        } else {
            assert_int_equal(prescan_new(text, strlen(text), &s, &at, &e), -EBADMSG);
            assert_int_equal(at.column, CONFIG_DEPTH_MAX);
            assert_non_null(strstr(e.text, "nested more than 31 deep"));
        }
    }
}

static const char document[] = "// first line\n"
                               "{ \"device\": \"boiler-1\", /* \xc3\xa4 */ \"uplink\": \"cloud\",\n"
                               "  \"modbus\": {\n"
                               "    \"url\": \"tcp://x\",\n"
                               "    \"list\": [ 1,\n"
                               "              {\"deep\": true} ] },\n"
                               "  \"a/b\": { \"~\": 1 },\n"
                               "  \"\\u00e4\": 0 }\n";

static const struct {
    const char *pointer;
    unsigned value_line, value_column, key_line, key_column;
} places[] = {
    {"", 2, 1, 2, 1},
    {"/device", 2, 13, 2, 3},
    {"/uplink", 2, 43, 2, 33},
    {"/modbus", 3, 13, 3, 3},
    {"/modbus/url", 4, 12, 4, 5},
    {"/modbus/list", 5, 13, 5, 5},
    {"/modbus/list/0", 5, 15, 5, 15},
    {"/modbus/list/1", 6, 15, 6, 15},
    {"/modbus/list/1/deep", 6, 24, 6, 16},
    {"/a~1b", 7, 10, 7, 3},
    {"/a~1b/~0", 7, 17, 7, 12},
    {"/\xc3\xa4", 8, 13, 8, 3},
    /* What is not there is shown by what would hold it. */
    {"/nothing", 2, 1, 2, 1},
    {"/modbus/unit", 3, 13, 3, 3},
    {"/modbus/unit/deeper", 3, 13, 3, 3},
    {"/modbus/list/2", 5, 13, 5, 5},
    {"/modbus/list/01", 5, 13, 5, 5},
    {"/modbus/list/-", 5, 13, 5, 5},
    {"modbus", 2, 1, 2, 1},
};

static void test_places(void **state)
{
    char *text = heap(document, sizeof(document) - 1);
    struct prescan *s = NULL;
    struct position at;
    struct error e;

    assert_int_equal(prescan_new(text, sizeof(document) - 1, &s, &at, &e), 0);
    assert_int_equal(prescan_count(s), 12);
    for (size_t i = 0; i < ELEMENTSOF(places); i++) {
        uint32_t node = prescan_pointer(s, places[i].pointer);
        struct position value = prescan_value_at(s, node), key = prescan_key_at(s, node);

        if (value.line != places[i].value_line || value.column != places[i].value_column ||
            key.line != places[i].key_line || key.column != places[i].key_column)
            fail_msg("%s: value %u:%u, key %u:%u", places[i].pointer, value.line, value.column, key.line, key.column);
    }
    assert_string_equal(prescan_key(s, prescan_pointer(s, "/a~1b")), "a/b");
    assert_string_equal(prescan_key(s, prescan_pointer(s, "/modbus/list/0")), "");
    assert_true(prescan_is_member(s, prescan_pointer(s, "/device")));
    assert_false(prescan_is_member(s, PRESCAN_ROOT));
    assert_int_equal(prescan_child(s, PRESCAN_ROOT, "device/"), PRESCAN_NONE);
    prescan_free(s);
    free(text);
}

/* Many keys: the table grows, every key is found, and the last of them may still not be the first. */
static void test_many(void **state)
{
    enum { MANY = 5000 };
    char *text = malloc(MANY * 16 + 32);
    size_t n = 0;

    assert_non_null(text);
    for (int again = 0; again < 2; again++) {
        struct prescan *s = NULL;
        struct position at;
        struct error e;
        char key[16];

        n = (size_t)sprintf(text, "{");
        for (int i = 0; i < MANY; i++)
            n += (size_t)sprintf(text + n, "\"k%d\":%d,\n", i, i);
        n += (size_t)sprintf(text + n, again ? "\"k0\":0}" : "\"k\":0}");
        if (again) {
            assert_int_equal(prescan_new(text, n, &s, &at, &e), -EBADMSG);
            assert_int_equal(at.line, MANY + 1);
            continue;
        }
        assert_int_equal(prescan_new(text, n, &s, &at, &e), 0);
        for (int i = 0; i < MANY; i++) {
            sprintf(key, "k%d", i);
            assert_int_equal(prescan_key_at(s, prescan_child(s, PRESCAN_ROOT, key)).line, i + 1);
        }
        prescan_free(s);
    }
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused), cmocka_unit_test(test_nul_byte), cmocka_unit_test(test_accepted),
        cmocka_unit_test(test_depth),   cmocka_unit_test(test_places),   cmocka_unit_test(test_many),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
