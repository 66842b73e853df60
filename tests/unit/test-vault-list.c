/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/cleanup.h"
#include "base/durable.h"
#include "vault/list.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#define KEY "00112233445566778899aabbccddeeff0f1e2d3c4b5a69788796a5b4c3d2e1f0"

struct opened {
    struct list_reader *reader;
    struct list_rows *rows;
};

static struct opened open_text(enum list_format format, const char *text, size_t n)
{
    _cleanup_close_ int fd = memfd_create("list", MFD_CLOEXEC);
    struct opened o = {0};
    struct error e;

    assert_int_equal(write_all(fd, text, n), 0);
    assert_int_equal(list_reader_new(fd, format, &o.reader, &e), 0);
    assert_int_equal(list_rows_new(&o.rows, &e), 0);
    return o;
}

static void done(struct opened *o)
{
    list_reader_free(o->reader);
    list_rows_free(o->rows);
}

static void test_csv(void **state)
{
    static const char text[] = "\xef\xbb\xbfHardware ID,device_id,Driver Settings,key,encoding\r\n"
                               "HW-1,dev-1,\"{\"\"x\"\": 1}\"," KEY ",\r\n"
                               ",dev-2,,0123456789abcdef0123456789abcdefX,text\r\n"
                               "\r\n"
                               ",dev-3,,zz,hex\r\n";
    struct opened o = open_text(LIST_CSV, text, sizeof(text) - 1);
    const struct list_row *rows = o.rows->rows;
    struct error e;

    for (int pass = 0; pass < 2; pass++) {
        assert_int_equal(list_read(o.reader, o.rows, &e), 1);
        assert_int_equal(o.rows->n, 3);
        assert_int_equal(rows[0].number, 2);
        assert_string_equal(rows[0].hardware_id, "HW-1");
        assert_string_equal(rows[0].settings, "{\"x\": 1}");
        assert_int_equal(rows[0].key_size, 32);
        assert_int_equal(rows[0].key[31], 0xf0);
        assert_null(rows[1].hardware_id);
        assert_int_equal(rows[1].key_size, 33);
        assert_int_equal(rows[2].number, 5);
        assert_non_null(strstr(rows[2].mistake, "key: "));
        assert_null(strstr(rows[2].mistake, "zz"));
        assert_int_equal(list_read(o.reader, o.rows, &e), 0);
        list_reader_rewind(o.reader);
    }
    done(&o);
}

static void test_no_header(void **state)
{
    struct opened o = open_text(LIST_CSV, "dev-1," KEY "\n", sizeof("dev-1," KEY));
    struct error e = {0};

    assert_int_equal(list_read(o.reader, o.rows, &e), -EINVAL);
    assert_non_null(strstr(e.text, "row 1, column 1: no such column"));
    assert_null(strstr(e.text, "0011"));
    done(&o);
}

static void test_lines(void **state)
{
    static const struct {
        enum list_format format;
        const char *text, *device, *identity;
        size_t key_size;
    } cases[] = {
        {LIST_MOSQUITTO, "# ours\n\nid-1:" KEY "\r\n", "id-1", "id-1", 32},
        {LIST_EMQX, "id-1:" KEY, "id-1", "id-1", 64},
        {LIST_GOLIOTH,
         "{\"name\":\"d\",\"hardwareIds\":[\"h\"],\"identity\":\"i\",\"preSharedKey\":\"" KEY
         "\",\"type\":\"PRE_SHARED_KEY\"}\n",
         "d", "i", 64},
        {LIST_HONO,
         "{\"device-id\":\"d\",\"credentials\":[{\"type\":\"psk\",\"auth-id\":\"i\",\"secrets\":[{\"key\":"
         "\"ABEiM0RVZneImaq7zN3u/w==\"}]}]}\n",
         "d", "i", 16},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct opened o = open_text(cases[i].format, cases[i].text, strlen(cases[i].text));
        struct error e;

        assert_int_equal(list_read(o.reader, o.rows, &e), 1);
        assert_int_equal(o.rows->n, 1);
        assert_null(o.rows->rows[0].mistake);
        assert_string_equal(o.rows->rows[0].device, cases[i].device);
        assert_string_equal(o.rows->rows[0].identity, cases[i].identity);
        assert_int_equal(o.rows->rows[0].key_size, cases[i].key_size);
        done(&o);
    }
}

/* A row as long as may be, one that is longer, and what follows it. */
static void test_long_rows(void **state)
{
    size_t n = 0;
    char *text = malloc(4 * LIST_RECORD_MAX);
    struct opened o;
    struct error e;

    n += (size_t)sprintf(text, "device,settings\na,");
    memset(text + n, 'x', LIST_RECORD_MAX - 16);
    n += LIST_RECORD_MAX - 16;
    n += (size_t)sprintf(text + n, "\nb,");
    memset(text + n, 'x', LIST_RECORD_MAX + 16);
    n += LIST_RECORD_MAX + 16;
    n += (size_t)sprintf(text + n, "\nc,\n");
    o = open_text(LIST_CSV, text, n);
    assert_int_equal(list_read(o.reader, o.rows, &e), 1);
    assert_null(o.rows->rows[0].mistake);
    assert_int_equal(strlen(o.rows->rows[0].settings), LIST_RECORD_MAX - 16);
    assert_non_null(strstr(o.rows->rows[1].mistake, "longer"));
    assert_string_equal(o.rows->rows[o.rows->n - 1].device, "c");
    done(&o);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_csv),
        cmocka_unit_test(test_no_header),
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_long_rows),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
