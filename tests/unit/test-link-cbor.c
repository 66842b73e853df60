/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The reader of what drivers send, byte by byte: each refusal by name, and what is written reads back the same. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "link/cbor.h"

#include <cmocka.h>
#include <errno.h>
#include <float.h>
#include <math.h>
#include <string.h>

/* A buffer of exactly n bytes, so that reading beyond it is found. */
static uint8_t *copy_of(const char *bytes, size_t n)
{
    uint8_t *copy = malloc(n > 0 ? n : 1);

    memcpy(copy, bytes, n);
    return copy;
}

enum wish { VALUE, TEXT, ARRAY, MAP, UINT };

struct row {
    enum wish wish;
    const char *bytes;
    size_t n;
    const char *error;
};

#define ROW(wish, bytes, error)                                                                                        \
    {                                                                                                                  \
        wish, bytes, sizeof(bytes) - 1, error                                                                          \
    }

static int read_as(struct cbor_reader *r, enum wish wish)
{
    struct sample_value v;
    const char *text;
    uint64_t value;
    size_t n;

    switch (wish) {
    case VALUE:
        return cbor_read_value(r, 8, &v);
    case TEXT:
        return cbor_read_text(r, 8, &text);
    case ARRAY:
        return cbor_read_array(r, &n);
    case MAP:
        return cbor_read_map(r, &n);
    case UINT:
        return cbor_read_uint(r, 1000, &value);
    }
    return -EINVAL;
}

static const struct row refusals[] = {
    ROW(VALUE, "", "cut short"),
    ROW(VALUE, "\x18", "cut short"),
    ROW(VALUE, "\x19\x01", "cut short"),
    ROW(VALUE, "\x1b\x01\x02\x03\x04\x05\x06\x07", "cut short"),
    ROW(VALUE, "\xfb\x01\x02\x03\x04\x05\x06\x07", "cut short"),
    ROW(TEXT,
        "\x62"
        "a",
        "cut short"),
    ROW(TEXT,
        "\x7b\xff\xff\xff\xff\xff\xff\xff\xff"
        "abc",
        "cut short"),
    ROW(ARRAY, "\x82\x01", "cut short"),
    ROW(ARRAY, "\x9b\xff\xff\xff\xff\xff\xff\xff\xff", "cut short"),
    ROW(MAP, "\xa1\x01", "cut short"),
    ROW(VALUE, "\x40", "a byte string"),
    ROW(TEXT,
        "\x41"
        "a",
        "a byte string"),
    ROW(VALUE, "\xc0\x01", "a tag"),
    ROW(ARRAY, "\xd9\xd9\xf7\x80", "a tag"),
    ROW(VALUE, "\xf6", "a null, a short float or another simple value"),
    ROW(VALUE, "\xf7", "a null, a short float or another simple value"),
    ROW(VALUE, "\xf9\x3c\x00", "a null, a short float or another simple value"),
    ROW(VALUE, "\xfa\x3f\x80\x00\x00", "a null, a short float or another simple value"),
    ROW(VALUE, "\xf8\x15", "a null, a short float or another simple value"),
    ROW(ARRAY, "\xff", "a null, a short float or another simple value"),
    ROW(ARRAY, "\x9f\x01\xff", "an indefinite length"),
    ROW(MAP, "\xbf\xff", "an indefinite length"),
    ROW(TEXT,
        "\x7f\x61"
        "a\xff",
        "an indefinite length"),
    ROW(VALUE, "\x1c", "a reserved form"),
    ROW(VALUE, "\x3e", "a reserved form"),
    ROW(VALUE, "\x18\x17", "a number or length not in its shortest form"),
    ROW(VALUE, "\x19\x00\xff", "a number or length not in its shortest form"),
    ROW(VALUE, "\x1a\x00\x00\xff\xff", "a number or length not in its shortest form"),
    ROW(VALUE, "\x1b\x00\x00\x00\x00\xff\xff\xff\xff", "a number or length not in its shortest form"),
    ROW(VALUE, "\x38\x00", "a number or length not in its shortest form"),
    ROW(TEXT,
        "\x78\x01"
        "a",
        "a number or length not in its shortest form"),
    ROW(ARRAY, "\x98\x01\x01", "a number or length not in its shortest form"),
    ROW(MAP, "\xb8\x00", "a number or length not in its shortest form"),
    ROW(VALUE, "\x3b\x80\x00\x00\x00\x00\x00\x00\x00", "a number beyond its limit"),
    ROW(UINT, "\x19\x03\xe9", "a number beyond its limit"),
    ROW(UINT, "\x20", "a whole number, not negative, was expected"),
    ROW(UINT, "\xfb\x3f\xf0\x00\x00\x00\x00\x00\x00", "a whole number, not negative, was expected"),
    ROW(VALUE, "\x80", "a bool, a number or a text was expected"),
    ROW(VALUE, "\xa0", "a bool, a number or a text was expected"),
    ROW(TEXT, "\x01", "a text was expected"),
    ROW(ARRAY, "\xa0", "an array was expected"),
    ROW(MAP, "\x80", "a map was expected"),
    ROW(VALUE, "\xfb\x7f\xf0\x00\x00\x00\x00\x00\x00", "a number that is not finite"),
    ROW(VALUE, "\xfb\xff\xf8\x00\x00\x00\x00\x00\x00", "a number that is not finite"),
    ROW(TEXT,
        "\x68"
        "abcdefgh",
        "a text longer than its limit"),
    ROW(VALUE,
        "\x68"
        "abcdefgh",
        "a text longer than its limit"),
    ROW(TEXT,
        "\x63"
        "a\0b",
        "a text with a NUL"),
    ROW(TEXT, "\x61\xff", "a text that is not UTF-8"),
    ROW(TEXT, "\x62\xc3\x28", "a text that is not UTF-8"),
    ROW(TEXT, "\x63\xed\xa0\x80", "a text that is not UTF-8"),
    ROW(TEXT, "\x61\xc3\xa9", "a text that is not UTF-8"), /* cut within a character */
};

static void test_refusals(void **state)
{
    for (size_t i = 0; i < ELEMENTSOF(refusals); i++) {
        uint8_t *bytes = copy_of(refusals[i].bytes, refusals[i].n);
        struct cbor_reader r;

        cbor_reader_init(&r, bytes, refusals[i].n);
        assert_int_equal(read_as(&r, refusals[i].wish), -EBADMSG);
        assert_string_equal(r.error, refusals[i].error);
        /* and it stays failed */
        assert_int_equal(read_as(&r, ARRAY), -EBADMSG);
        assert_int_equal(cbor_read_end(&r), -EBADMSG);
        assert_string_equal(r.error, refusals[i].error);
        free(bytes);
    }
}

static void test_end(void **state)
{
    char bytes[] = "\x01\x02";
    struct cbor_reader r;
    uint64_t value;

    cbor_reader_init(&r, bytes, 2);
    assert_int_equal(cbor_read_uint(&r, 5, &value), 0);
    assert_int_equal(cbor_read_end(&r), -EBADMSG);
    assert_string_equal(r.error, "more than its one message");
    cbor_reader_init(&r, bytes, 1);
    assert_int_equal(cbor_read_uint(&r, 5, &value), 0);
    assert_int_equal(cbor_read_end(&r), 0);
}

static bool same(const struct sample_value *a, const struct sample_value *b)
{
    if (a->type != b->type)
        return false;
    switch (a->type) {
    case SAMPLE_BOOL:
        return a->b == b->b;
    case SAMPLE_INT:
        return a->x == b->x;
    case SAMPLE_UINT:
        return a->t == b->t;
    case SAMPLE_DOUBLE:
        return memcmp(&a->d, &b->d, sizeof(a->d)) == 0;
    case SAMPLE_STRING:
        return strcmp(a->s, b->s) == 0;
    }
    return false;
}

/* bool, int, uint, double and text stay apart; a uint that an int can hold is one. */
static void test_values(void **state)
{
    const struct {
        struct sample_value value;
        size_t n;
    } rows[] = {
        {{SAMPLE_BOOL, .b = false}, 1},
        {{SAMPLE_BOOL, .b = true}, 1},
        {{SAMPLE_INT, .x = 0}, 1},
        {{SAMPLE_INT, .x = 23}, 1},
        {{SAMPLE_INT, .x = 24}, 2},
        {{SAMPLE_INT, .x = 255}, 2},
        {{SAMPLE_INT, .x = 256}, 3},
        {{SAMPLE_INT, .x = 65535}, 3},
        {{SAMPLE_INT, .x = 65536}, 5},
        {{SAMPLE_INT, .x = UINT32_MAX}, 5},
        {{SAMPLE_INT, .x = UINT32_MAX + INT64_C(1)}, 9},
        {{SAMPLE_INT, .x = INT64_MAX}, 9},
        {{SAMPLE_INT, .x = -1}, 1},
        {{SAMPLE_INT, .x = -24}, 1},
        {{SAMPLE_INT, .x = -25}, 2},
        {{SAMPLE_INT, .x = INT64_MIN}, 9},
        {{SAMPLE_UINT, .t = INT64_MAX + UINT64_C(1)}, 9},
        {{SAMPLE_UINT, .t = UINT64_MAX}, 9},
        {{SAMPLE_DOUBLE, .d = 0.0}, 9},
        {{SAMPLE_DOUBLE, .d = -0.0}, 9},
        {{SAMPLE_DOUBLE, .d = 1.0}, 9},
        {{SAMPLE_DOUBLE, .d = DBL_MAX}, 9},
        {{SAMPLE_DOUBLE, .d = DBL_TRUE_MIN}, 9},
        {{SAMPLE_STRING, .s = ""}, 1},
        {{SAMPLE_STRING, .s = "21.5 °C"}, 9},
        {{SAMPLE_STRING, .s = "a line\nand \x01 controls of its own, longer than twenty-three bytes"}, 66},
    };

    for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
        uint8_t buffer[128];
        struct cbor_writer w;
        struct cbor_reader r;
        struct sample_value back;

        cbor_writer_init(&w, buffer, sizeof(buffer));
        cbor_put_value(&w, &rows[i].value);
        assert_false(w.full);
        assert_int_equal(cbor_written(&w), rows[i].n);
        cbor_reader_init(&r, buffer, cbor_written(&w));
        assert_int_equal(cbor_read_value(&r, 100, &back), 0);
        assert_true(same(&back, &rows[i].value));
        assert_int_equal(cbor_read_end(&r), 0);
    }
}

/* Texts get their NUL within the packet, and what follows is still read. */
static void test_texts_in_a_row(void **state)
{
    const char *const texts[] = {"", "a", "bb", "a text of more than twenty-three bytes", ""};
    uint8_t buffer[128];
    const char *back[ELEMENTSOF(texts)];
    struct cbor_writer w;
    struct cbor_reader r;
    size_t n;

    cbor_writer_init(&w, buffer, sizeof(buffer));
    cbor_put_array(&w, ELEMENTSOF(texts));
    for (size_t i = 0; i < ELEMENTSOF(texts); i++)
        cbor_put_text(&w, texts[i]);
    cbor_reader_init(&r, buffer, cbor_written(&w));
    assert_int_equal(cbor_read_array(&r, &n), 0);
    assert_int_equal(n, ELEMENTSOF(texts));
    for (size_t i = 0; i < n; i++)
        assert_int_equal(cbor_read_text(&r, 64, &back[i]), 0);
    assert_int_equal(cbor_read_end(&r), 0);
    for (size_t i = 0; i < n; i++)
        assert_string_equal(back[i], texts[i]);
}

static void test_full(void **state)
{
    uint8_t buffer[4] = {0, 0, 0, 0x55};
    struct cbor_writer w;

    cbor_writer_init(&w, buffer, 3);
    cbor_put_text(&w, "ab");
    assert_false(w.full);
    cbor_put_uint(&w, 1);
    assert_true(w.full);
    assert_int_equal(cbor_written(&w), 3);
    assert_int_equal(buffer[3], 0x55);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refusals),       cmocka_unit_test(test_end),  cmocka_unit_test(test_values),
        cmocka_unit_test(test_texts_in_a_row), cmocka_unit_test(test_full),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
