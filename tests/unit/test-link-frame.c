/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What of a D-Bus stream is passed on, and at which byte it is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/limits.h"
#include "link/frame.h"

#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define HELLO "\0AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n"
#define HELLO_SIZE (sizeof(HELLO) - 1)

static void header(uint8_t h[FRAME_HEADER_SIZE], char endian, uint32_t body, uint32_t serial, uint32_t fields)
{
    const uint32_t v[] = {body, serial, fields};

    h[0] = (uint8_t)endian;
    h[1] = 1;
    h[2] = 0;
    h[3] = 1;
    for (size_t i = 0; i < 12; i++)
        h[4 + i] = (uint8_t)(v[i / 4] >> (endian == 'l' ? i % 4 * 8 : (3 - i % 4) * 8));
}

static void test_handshake(void **state)
{
    const struct {
        const char *data;
        size_t n;
        ssize_t passed;
        enum frame_phase phase;
    } rows[] = {
        {"", 0, 0, FRAME_START},
        {"\0", 1, 1, FRAME_AUTH},
        {"A", 1, -EBADMSG, FRAME_REFUSED},
        {"\0AUTH", 5, 1, FRAME_AUTH},         /* not a whole line yet */
        {"\0AUTH\r\nBEG", 10, 7, FRAME_AUTH}, /* likewise */
        {"\0BEGIN\n", 7, 1, FRAME_AUTH},      /* no line end */
        {"\0BEGIN \r\n", 9, 9, FRAME_AUTH},   /* not the word */
        {"\0XBEGIN\r\n", 9, 9, FRAME_AUTH},   /* not the word */
        {HELLO, HELLO_SIZE, HELLO_SIZE, FRAME_HEADER},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct frame_reader f = {0};

        assert_int_equal(frame_read(&f, rows[i].data, rows[i].n), rows[i].passed);
        assert_int_equal(f.phase, rows[i].phase);
    }
}

static void test_handshake_is_bounded(void **state)
{
    struct frame_reader line = {0}, lines = {0};
    char text[FRAME_AUTH_LINE_MAX + 1];
    ssize_t r = 0;
    int n = 0;

    memset(text, 'A', sizeof(text));
    assert_int_equal(frame_read(&line, "", 1), 1);
    assert_int_equal(frame_read(&line, text, sizeof(text)), -EMSGSIZE);
    assert_int_equal(frame_read(&lines, "", 1), 1);
    while (r >= 0 && n < 10000) {
        r = frame_read(&lines, "ERROR\r\n", 7);
        n++;
    }
    assert_int_equal(r, -EMSGSIZE);
    assert_true(n <= FRAME_AUTH_MAX / 7 + 1);
    /* once refused, refused for good */
    assert_int_equal(frame_read(&lines, "BEGIN\r\n", 7), -EBADMSG);
}

static void test_headers(void **state)
{
    const struct {
        char endian;
        uint32_t body, serial, fields;
        int type, version;
        ssize_t r;
        uint64_t remaining;
    } rows[] = {
        {'l', 0, 1, 0, 1, 1, FRAME_HEADER_SIZE, 0},
        {'l', 5, 1, 9, 1, 1, FRAME_HEADER_SIZE, 21},
        {'B', 5, 1, 9, 4, 1, FRAME_HEADER_SIZE, 21},
        {'l', LINK_FRAME_MAX - FRAME_HEADER_SIZE, 1, 0, 1, 1, FRAME_HEADER_SIZE, LINK_FRAME_MAX - FRAME_HEADER_SIZE},
        {'l', LINK_FRAME_MAX - FRAME_HEADER_SIZE + 1, 1, 0, 1, 1, -EMSGSIZE, 0},
        {'B', LINK_FRAME_MAX - FRAME_HEADER_SIZE - 8, 1, 9, 1, 1, -EMSGSIZE, 0}, /* the fields are padded */
        {'l', 0, 1, UINT32_MAX, 1, 1, -EMSGSIZE, 0},
        {'l', UINT32_MAX, 1, UINT32_MAX, 1, 1, -EMSGSIZE, 0},
        {'x', 0, 1, 0, 1, 1, -EBADMSG, 0},
        {'l', 0, 0, 0, 1, 1, -EBADMSG, 0},
        {'l', 0, 1, 0, 0, 1, -EBADMSG, 0},
        {'l', 0, 1, 0, 5, 1, -EBADMSG, 0},
        {'l', 0, 1, 0, 1, 2, -EBADMSG, 0},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct frame_reader f = {.phase = FRAME_HEADER};
        uint8_t h[FRAME_HEADER_SIZE];

        header(h, rows[i].endian, rows[i].body, rows[i].serial, rows[i].fields);
        h[1] = (uint8_t)rows[i].type;
        h[3] = (uint8_t)rows[i].version;
        assert_int_equal(frame_read(&f, h, sizeof(h)), rows[i].r);
        if (rows[i].r >= 0)
            assert_int_equal(f.remaining, rows[i].remaining);
        else
            assert_non_null(f.refusal);
    }
}

/* However a stream is cut, the same is passed and the same refused. */
static void test_every_cut(void **state)
{
    uint8_t stream[HELLO_SIZE + 3 * FRAME_HEADER_SIZE + 32];
    size_t n = HELLO_SIZE, bad;

    memcpy(stream, HELLO, HELLO_SIZE);
    header(stream + n, 'l', 3, 1, 8);
    n += FRAME_HEADER_SIZE + 8 + 3;
    memset(stream + n - 11, 'l', 11);
    header(stream + n, 'B', 0, 2, 0);
    n += FRAME_HEADER_SIZE;
    bad = n;
    header(stream + n, 'l', LINK_FRAME_MAX, 3, 0);
    n += FRAME_HEADER_SIZE;
    for (size_t cut = 1; cut < n; cut++) {
        struct frame_reader f = {0};
        size_t passed = 0;
        ssize_t r = 0;

        for (size_t end = cut; r >= 0; end = end + cut < n ? end + cut : n) {
            r = frame_read(&f, stream + passed, end - passed);
            if (r > 0)
                passed += (size_t)r;
        }
        assert_int_equal(r, -EMSGSIZE);
        assert_true(passed <= bad);
        assert_int_equal(f.messages, 2);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_handshake),
        cmocka_unit_test(test_handshake_is_bounded),
        cmocka_unit_test(test_headers),
        cmocka_unit_test(test_every_cut),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
