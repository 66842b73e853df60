/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Datagrams that are messages, and many that are not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/encode.h"
#include "coap/message.h"

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

static size_t from_hex(const char *hex, uint8_t *buf, size_t size)
{
    ssize_t n = hex_decode(hex, strlen(hex), buf, size);

    assert_true(n >= 0);
    return (size_t)n;
}

static void test_malformed(void **state)
{
    static const struct {
        const char *what, *hex;
    } rows[] = {
        {"nothing", ""},
        {"a short header", "400000"},
        {"version 0", "00450001"},
        {"version 2", "80450001"},
        {"version 3", "c0450001"},
        {"a token of 9", "49450001010203040506070809"},
        {"a token length kept for later", "4f450001"},
        {"a token cut short", "4845000101020304050607"},
        {"an empty message with a token", "4100000101"},
        {"an empty message with options", "40000001c0"},
        {"an empty message with a payload", "40000001ff01"},
        {"a marker without payload", "40450001ff"},
        {"a marker without payload, behind options", "40450001c0ff"},
        {"option delta 15", "40450001f1"},
        {"option length 15", "404500011f00"},
        {"an option cut short", "40450001c232"},
        {"an extended delta cut short", "40450001d0"},
        {"a long delta cut short", "40450001e000"},
        {"an extended length cut short", "40450001cd"},
        {"a long length cut short", "40450001ce00"},
        {"a long length over what there is", "40450001ceffff00"},
        {"a number over 65535 in one option", "40450001e0ffff"},
        {"a number over 65535 in one option, by its low byte", "40450001e0fef3"},
        {"a number over 65535 in two options", "40450001e0fef2e00000"},
    };

    for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
        uint8_t buf[64];
        struct coap_message m = {.mid = 77};
        size_t n = from_hex(rows[i].hex, buf, sizeof(buf));
        /* On the heap and of just that size, for the sanitizer. */
        _cleanup_free_ uint8_t *exact = malloc(n ? n : 1);

        memcpy(exact, buf, n);
        if (coap_message_parse(exact, n, &m) != -EBADMSG || m.mid != 77)
            fail_msg("%s was taken", rows[i].what);
    }
}

static void test_too_many_options(void **state)
{
    uint8_t buf[4 + COAP_OPTIONS_MAX + 1] = {0x40, 0x45, 0, 1};
    struct coap_message m;

    assert_int_equal(coap_message_parse(buf, sizeof(buf) - 1, &m), 0);
    assert_int_equal(m.n_options, COAP_OPTIONS_MAX);
    assert_int_equal(coap_message_parse(buf, sizeof(buf), &m), -EBADMSG);
    assert_int_equal(coap_message_add(&m, 1, "", 0), -ENOBUFS);
    assert_int_equal(coap_message_add_uint(&m, 1, 0), -ENOBUFS);
}

/* RFC 7252 appendix A, figures 16 and 17. */
static void test_rfc7252_example(void **state)
{
    static const char request_hex[] = "41017d3520bb74656d7065726174757265";
    static const char response_hex[] = "61457d3520ff32322e33204322";
    uint8_t wanted[64], buf[64], path[COAP_PATH_MAX];
    struct coap_message m = {.type = COAP_CON, .code = COAP_GET, .mid = 0x7d35, .token = {0x20}, .token_size = 1};

    assert_int_equal(coap_message_add_path(&m, "/temperature", path, sizeof(path)), 0);
    assert_int_equal(coap_message_write(&m, buf, sizeof(buf)), from_hex(request_hex, wanted, sizeof(wanted)));
    assert_memory_equal(buf, wanted, strlen(request_hex) / 2);
    for (size_t size = 0; size < strlen(request_hex) / 2; size++)
        assert_int_equal(coap_message_write(&m, buf, size), -ENOBUFS);

    assert_int_equal(coap_message_parse(wanted, from_hex(response_hex, wanted, sizeof(wanted)), &m), 0);
    assert_int_equal(m.type, COAP_ACK);
    assert_int_equal(m.code, COAP_CONTENT);
    assert_int_equal(m.mid, 0x7d35);
    assert_int_equal(m.token_size, 1);
    assert_int_equal(m.token[0], 0x20);
    assert_int_equal(m.n_options, 0);
    assert_int_equal(m.payload_size, 7);
    assert_memory_equal(m.payload, "22.3 C", 6);
}

/* Options written in any order are there again after parsing, by rising number, whatever their deltas and lengths. */
static void test_round_trip(void **state)
{
    static const uint16_t numbers[] = {65535, 0, 12, 13, 268, 269, 281, 282, 283, 40000, 12, 11};
    static const uint16_t lengths[] = {0, 1, 12, 13, 14, 268, 269, 270, 0, 300, 2, 5};
    uint8_t value[300], buf[2048];
    uint32_t number;
    struct coap_message m = {.type = COAP_NON, .code = COAP_POST, .mid = 1, .payload = value, .payload_size = 3}, back;

    for (size_t i = 0; i < sizeof(value); i++)
        value[i] = (uint8_t)i;
    for (size_t i = 0; i < ELEMENTSOF(numbers); i++)
        assert_int_equal(coap_message_add(&m, numbers[i], value, lengths[i]), 0);
    assert_int_equal(coap_message_add_uint(&m, 60, 0xfffefdfc), 0);
    assert_int_equal(coap_message_add_uint(&m, 14, 1), 0);
    assert_int_equal(coap_message_add_uint(&m, 6, 0x123456), 0);
    assert_int_equal(coap_message_parse(buf, (size_t)coap_message_write(&m, buf, sizeof(buf)), &back), 0);
    assert_int_equal(back.n_options, ELEMENTSOF(numbers) + 3);
    for (size_t i = 0; i < back.n_options; i++) {
        assert_int_equal(back.options[i].number, m.options[i].number);
        assert_int_equal(back.options[i].length, m.options[i].length);
        assert_memory_equal(back.options[i].value, m.options[i].value, m.options[i].length);
        if (i > 0)
            assert_true(back.options[i].number >= back.options[i - 1].number);
    }
    assert_int_equal(back.payload_size, 3);
    assert_int_equal(coap_message_get_uint(&back, 14, &number), 0);
    assert_int_equal(number, 1);
    assert_int_equal(coap_message_get_uint(&back, 6, &number), 0);
    assert_int_equal(number, 0x123456);
    assert_int_equal(coap_message_get_uint(&back, 60, &number), 0);
    assert_int_equal(number, 0xfffefdfc);
    assert_int_equal(coap_message_get_uint(&back, 17, &number), -ENOENT);
}

static void test_path(void **state)
{
    char long_segment[300], long_path[COAP_PATH_MAX + 2];
    const struct {
        const char *path;
        const char *options; /* number:value;... NULL: refused */
    } rows[] = {
        {"", ""},
        {"/", ""},
        {"a", "11:a;"},
        {"/a", "11:a;"},
        {".d/a", "11:.d;11:a;"},
        {"a//b/", "11:a;11:;11:b;11:;"},
        {"a%2fb/%3F%25", "11:a/b;11:?%;"},
        {"a?x=1&y=/?", "11:a;15:x=1;15:y=/?;"},
        {"?x%26y", "15:x&y;"},
        {"a?", "11:a;15:;"},
        {"a%", NULL},
        {"a%2", NULL},
        {"a%2/b", NULL},
        {"a%g0", NULL},
        {"a?%zz", NULL},
        {"a#b", NULL},
        {"1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17/18/19/20/21/22/23/24/25/26/27/28/29/30/31/32/33", NULL},
        {long_segment, NULL},
        {long_path, NULL},
    };

    memset(long_segment, 'x', sizeof(long_segment));
    long_segment[256] = 0;
    memset(long_path, 'x', sizeof(long_path));
    for (size_t i = 100; i < sizeof(long_path); i += 100)
        long_path[i] = '/';
    long_path[COAP_PATH_MAX + 1] = 0;
    for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
        struct coap_message m = {0};
        uint8_t buf[COAP_PATH_MAX];
        char text[512] = "";
        int r = coap_message_add_path(&m, rows[i].path, buf, sizeof(buf));

        for (size_t k = 0; k < m.n_options; k++)
            snprintf(text + strlen(text), sizeof(text) - strlen(text), "%u:%.*s;", m.options[k].number,
                     m.options[k].length, (const char *)m.options[k].value);
        if (r != (rows[i].options ? 0 : -EINVAL) || (r == 0 && strcmp(text, rows[i].options) != 0))
            fail_msg("%s: %d %s", rows[i].path, r, text);
    }
}

/* What a server calls a new resource can be asked for as it is. */
static void test_location(void **state)
{
    struct coap_message m = {0}, request = {0};
    uint8_t buf[COAP_PATH_MAX];
    char *location = NULL;

    assert_int_equal(coap_message_location(&m, &location), 0);
    assert_null(location);
    coap_message_add(&m, COAP_OPT_LOCATION_PATH, "a/b?", 4);
    coap_message_add(&m, COAP_OPT_LOCATION_PATH, "", 0);
    coap_message_add(&m, COAP_OPT_LOCATION_PATH, "\0\xc3\xa4 %", 5);
    coap_message_add(&m, COAP_OPT_LOCATION_QUERY, "x=1", 3);
    coap_message_add(&m, COAP_OPT_LOCATION_QUERY, "y&z", 3);
    assert_int_equal(coap_message_location(&m, &location), 0);
    assert_string_equal(location, "a%2Fb%3F//%00%C3%A4%20%25?x=1&y%26z");
    assert_int_equal(coap_message_add_path(&request, location, buf, sizeof(buf)), 0);
    assert_int_equal(request.n_options, m.n_options);
    for (size_t i = 0; i < m.n_options; i++) {
        assert_int_equal(request.options[i].length, m.options[i].length);
        assert_memory_equal(request.options[i].value, m.options[i].value, m.options[i].length);
    }
    free(location);
}

static void test_critical(void **state)
{
    static const struct {
        uint16_t number, length, again;
        uint16_t unsupported;
    } rows[] = {
        {COAP_OPT_BLOCK2, 3, 0, 0},
        {COAP_OPT_BLOCK1, 0, 0, 0},
        {COAP_OPT_BLOCK2, 4, 0, COAP_OPT_BLOCK2},
        {COAP_OPT_BLOCK2, 1, COAP_OPT_BLOCK2, COAP_OPT_BLOCK2},
        {COAP_OPT_ETAG, 9, 0, 0}, /* elective: as if it were not there */
        {COAP_OPT_MAX_AGE, 5, 0, 0},
        {65000, 8, 0, 0}, /* Hono's server time */
        {65001, 0, 0, 65001},
        {COAP_OPT_URI_HOST, 1, 0, COAP_OPT_URI_HOST}, /* of requests only */
        {9, 0, 0, 9},
    };

    for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
        struct coap_message m = {.code = COAP_CONTENT};
        uint32_t value;

        coap_message_add(&m, rows[i].number, "123456789", rows[i].length);
        if (rows[i].again)
            coap_message_add(&m, rows[i].again, "1", 1);
        assert_int_equal(coap_message_unsupported(&m), rows[i].unsupported);
        if (rows[i].number == COAP_OPT_ETAG)
            assert_null(coap_message_find(&m, COAP_OPT_ETAG));
        if (rows[i].number == COAP_OPT_MAX_AGE)
            assert_int_equal(coap_message_get_uint(&m, COAP_OPT_MAX_AGE, &value), -ENOENT);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_malformed),
        cmocka_unit_test(test_too_many_options),
        cmocka_unit_test(test_rfc7252_example),
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_path),
        cmocka_unit_test(test_location),
        cmocka_unit_test(test_critical),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
