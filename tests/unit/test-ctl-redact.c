/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "redact.h"

#include "base/cleanup.h"
#include "base/encode.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <sys/mman.h>
#include <unistd.h>

static char *redacted(const char *text)
{
    struct strbuf b = {0};
    char *ret;

    redact(text, strlen(text), &b);
    strbuf_puts(&b, "");
    assert_int_equal(strbuf_take(&b, &ret), 0);
    return ret;
}

static void becomes(const char *text, const char *expected)
{
    _cleanup_free_ char *found = redacted(text);

    assert_string_equal(found, expected);
}

/* Keys of each length that the vault takes, in each form, amid each kind of text. */
static void test_keys(void **state)
{
    static const char *const amid[] = {"%s", "x %s y", "key=%s;", "{\"k\":\"%s\"}", "id:%s\n", "/path/%s", "<%s>"};
    unsigned seed = 1;

    for (size_t n = 16; n <= 64; n++)
        for (size_t i = 0; i < ELEMENTSOF(amid); i++) {
            char hex[HEX_SIZE(64)], base64[BASE64_SIZE(64)], line[512], pairs[3 * 64 + 1] = "";
            const char *const forms[] = {hex, base64, pairs};
            uint8_t key[64];

            for (size_t k = 0; k < n; k++) {
                key[k] = (uint8_t)((seed = seed * 1103515245 + 12345) >> 16);
                snprintf(pairs + (k > 0 ? 3 * k - 1 : 0), 4, k > 0 ? ":%02x" : "%02x", key[k]);
            }
            hex_encode(key, n, hex);
            base64_encode(key, n, base64);
            for (size_t f = 0; f < ELEMENTSOF(forms); f++) {
                _cleanup_free_ char *found = NULL;

                snprintf(line, sizeof(line), amid[i], forms[f]);
                found = redacted(line);
                assert_null(strstr(found, forms[f]));
                assert_non_null(strstr(found, REDACTED));
            }
        }
}

static void test_what_is_known_by_its_name(void **state)
{
    becomes("\"psk\": \"short\", \"unit\": 1", "\"psk\": \"(redacted)\", \"unit\": 1");
    becomes("PASSWORD=hunter2 next", "PASSWORD=(redacted) next");
    becomes("coaps://joe:pw@host/x", "coaps://(redacted)@host/x");
    becomes("coaps://joe:p,w'@x@host/x?a@b", "coaps://(redacted)@host/x?a@b");
    becomes("aa:bb:cc:dd:ee:ff:00:11:22", REDACTED);
    becomes("17, 34, 51, 68, 85, 102, 119, 136", REDACTED);
    becomes("1 2 3 4 5 6 7 8 4H2y5BlOg7TqH1CFuuwhVou88", "(redacted) (redacted)");
    becomes("aa bb cc dd ee ff 00 11 a0H2y5BlOg7TqH1CFuuwhVou88", "(redacted) (redacted)");
}

/* A password may have anything in it. */
static void test_a_value_is_taken_to_its_end(void **state)
{
    becomes("\"password\": \"correct horse, battery\", \"unit\": 1", "\"password\": \"(redacted)\", \"unit\": 1");
    becomes("\"password\": \"a\\\" b \\\\\", \"unit\": 1", "\"password\": \"(redacted)\", \"unit\": 1");
    becomes("\"password\": \"it's so\"", "\"password\": \"(redacted)\"");
    becomes("password='two words, three' next", "password='(redacted)' next");
    becomes("PASSWORD=a'b,c\"d next", "PASSWORD=(redacted) next");
    /* in JSON that is a text of JSON, and of that one in turn */
    becomes("\"say\": \"{\\\"password\\\": \\\"two words, three\\\", \\\"unit\\\": 1}\"",
            "\"say\": \"{\\\"password\\\": \\\"(redacted)\\\", \\\"unit\\\": 1}\"");
    becomes("{\\\"psk\\\":\\\"a \\\\\\\"b c\\\"}", "{\\\"psk\\\":\\\"(redacted)\\\"}");
    becomes("{\\\\\\\"psk\\\\\\\": \\\\\\\"a b\\\\\\\", 1}", "{\\\\\\\"psk\\\\\\\": \\\\\\\"(redacted)\\\\\\\", 1}");
    becomes("\"password\": \"", "\"password\": \"");
    becomes("\"password\": \"\", \"unit\": 1", "\"password\": \"\", \"unit\": 1");
    becomes("\"password\": \"no end\nnext", "\"password\": \"(redacted)\nnext");
    becomes("Authorization: Basic dTpw\r\nHost: x", "Authorization: (redacted)\nHost: x");
    becomes("authorization: Digest username=\"u\", response=\"tiny\"\nHost: x", "authorization: (redacted)\nHost: x");
    becomes("\"Authorization\": \"Bearer a b\", \"unit\": 1", "\"Authorization\": \"(redacted)\", \"unit\": 1");
}

/* A key of 64 bytes as base64 that has each kind of character. */
#define BASE64 "Zm9vYmFy+2Jh/3F1eHgvMTIzNDU2Nzg5MGFiY2RlZmdoaWprbG1ub3BxcnN0dXZ3eHl6QUJDREVGRw=="

/* As programs write JSON that others have to read: gson, PHP, Python. */
static void test_json_escapes(void **state)
{
    becomes("{\\u0022psk\\u0022:\\u0022short one\\u0022,\\u0022unit\\u0022:1}",
            "{\\u0022psk\\u0022:\\u0022(redacted)\\u0022,\\u0022unit\\u0022:1}");
    becomes("{\\\\u0022psk\\\\u0022: \\\\u0022a b\\\\u0022, 1}",
            "{\\\\u0022psk\\\\u0022: \\\\u0022(redacted)\\\\u0022, 1}");
    becomes("\"say\": \"{\\u0022psk\\u0022: \\u0022a, b\"", "\"say\": \"{\\u0022psk\\u0022: \\u0022(redacted)\"");
    becomes("psk\\u003dtiny next", "psk\\u003d(redacted) next");
    becomes("coaps:\\/\\/joe:pw@host", "coaps://(redacted)@host");
    becomes("x Zm9vYm\\/y+2Jh\\/3F1\\/Hg/MTIz\\u003d\\u003d y", "x (redacted) y");
    becomes("x Zm9vYm\\u002Fy\\u002b2Jh\\u002f3F1AAHgxMTIz y", "x (redacted) y");
    becomes(
        "\\u0030\\u0031\\u0032\\u0033\\u0034\\u0035\\u0036\\u0037\\u0038\\u0039\\u0061\\u0062\\u0063\\u0064\\u0065\\u0066"
        "\\u0030 y",
        "(redacted) y");
}

static void test_hex_with_capitals(void **state)
{
    becomes("x 0123456789ABCDEF0123456789ABCDEF y", "x (redacted) y");
    becomes("x 0xAA, 0XBB, 0xCC, 0xDD, 0xEE, 0xFF, 0x00, 0x11 y", "x (redacted) y");
    becomes("x \\xAA\\xBB\\xCC\\xDD\\xEE\\xFF\\x00\\x11 y", "x (redacted) y");
    becomes("AA:BB:CC:DD:EE:FF:00:11:\n    22:33:44 y", "(redacted) y");
    becomes("x 0123456789ABCDEF0123456789ABCDEF\n01234567\ny", "x (redacted)\ny");
}

/* Wrapped at any width, as a text, in JSON, and in JSON within JSON. */
static void test_base64_with_line_breaks(void **state)
{
    static const char *const breaks[] = {"\n", "\r\n", "\n    ", "\\n", "\\r\\n", "\\\\n", "\\u000a"};
    static const char base64[] = BASE64;

    for (size_t width = 8; width <= 76; width += 4)
        for (size_t b = 0; b < ELEMENTSOF(breaks); b++) {
            _cleanup_free_ char *found = NULL;
            char text[512] = "\"x\": \"";

            for (size_t i = 0; i < strlen(base64); i += width)
                snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%.*s", i > 0 ? breaks[b] : "", (int)width,
                         base64 + i);
            snprintf(text + strlen(text), sizeof(text) - strlen(text), "\", 1");
            found = redacted(text);
            if (strcmp(found, "\"x\": \"(redacted)\", 1") != 0)
                fail_msg("width %zu, break %zu: %s", width, b, found);
        }
}

/* Of a captured command; it took longer than anybody waits. */
static void test_a_long_run_of_backslashes_is_soon_over(void **state)
{
    size_t n = 1024 * 1024;
    char *text = malloc(n + 1);

    assert_non_null(text);
    memset(text, '\\', n);
    text[n] = 0;
    becomes(text, text);
    free(text);
}

/* Captured text has no end but its length: behind it is memory that may not be read. */
static void test_nothing_behind_the_text_is_read(void **state)
{
    static const char *const texts[] = {
        "key", "psk tiny", "password tiny", "psk",    "authorization x", "\\u00",        "//a",
        "0x",  "key \"",   "\\\\",          "aa:bb:", "secret=",         "token \\u0022"};
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    char *area = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    assert_true(area != MAP_FAILED);
    assert_int_equal(mprotect(area + page, page, PROT_NONE), 0);
    for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
        size_t n = strlen(texts[i]);
        struct strbuf b = {0};

        memcpy(area + page - n, texts[i], n);
        redact(area + page - n, n, &b);
        strbuf_done(&b);
    }
    munmap(area, 2 * page);
}

static void test_what_stays(void **state)
{
    static const char *const lines[] = {"boiler-1: its main key is set, identity first-a (by uid 0)",
                                        "fingerprint 0123456789abcdef, address A4:C1:38:00:11:22",
                                        "gatehoused: /etc/gatehouse/devices.d/boiler-1.json:2:11: there is no uplink",
                                        "Mon 2026-11-30 13:00:00 UTC 10.0.0.1:5684",
                                        "A4:C1:38:00:11:22\nA4:C1:38:00:11:23\n",
                                        "boiler-1\nmeter-10\nonline\n",
                                        "say \\\"online\\\"\\n"};

    for (size_t i = 0; i < ELEMENTSOF(lines); i++)
        becomes(lines[i], lines[i]);
    becomes("a\x01\x80z", "a??z");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_keys),
                                       cmocka_unit_test(test_what_is_known_by_its_name),
                                       cmocka_unit_test(test_a_value_is_taken_to_its_end),
                                       cmocka_unit_test(test_json_escapes),
                                       cmocka_unit_test(test_hex_with_capitals),
                                       cmocka_unit_test(test_base64_with_line_breaks),
                                       cmocka_unit_test(test_a_long_run_of_backslashes_is_soon_over),
                                       cmocka_unit_test(test_nothing_behind_the_text_is_read),
                                       cmocka_unit_test(test_what_stays)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
