/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus/outline.h"

#include "base/cleanup.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>
#include <systemd/sd-bus.h>

/* A call as sd-bus writes it: :1.7 asks /a for org.b.C("text", 7), in either byte order. */
static const uint8_t little[] = "l\1\1\1\20\0\0\0\5\0\0\0\110\0\0\0"
                                "\1\1o\0\2\0\0\0/a\0\0\0\0\0\0"
                                "\2\1s\0\5\0\0\0org.b\0\0\0"
                                "\3\1s\0\1\0\0\0C\0\0\0\0\0\0\0"
                                "\7\1s\0\4\0\0\0:1.7\0\0\0\0"
                                "\10\1g\0\2su\0"
                                "\4\0\0\0text\0\0\0\0\7\0\0";
static const uint8_t big[] = "B\1\1\1\0\0\0\20\0\0\0\5\0\0\0\110"
                             "\1\1o\0\0\0\0\2/a\0\0\0\0\0\0"
                             "\2\1s\0\0\0\0\5org.b\0\0\0"
                             "\3\1s\0\0\0\0\1C\0\0\0\0\0\0\0"
                             "\7\1s\0\0\0\0\4:1.7\0\0\0\0"
                             "\10\1g\0\2su\0"
                             "\0\0\0\4text\0\0\0\0\0\0\0\7";

static void check(const uint8_t *data, size_t size)
{
    struct outline m;
    const char *text;
    size_t offset = 0;
    uint32_t n;

    assert_int_equal(outline_measure(data, &m), 0);
    assert_int_equal(m.header_size, 88);
    assert_int_equal(m.size, 104);
    assert_int_equal(outline_parse(data, size, &m), 0);
    assert_int_equal(m.type, OUTLINE_CALL);
    assert_int_equal(m.serial, 5);
    assert_int_equal(m.n_fds, 0);
    assert_string_equal(m.path, "/a");
    assert_string_equal(m.interface, "org.b");
    assert_string_equal(m.member, "C");
    assert_string_equal(m.sender, ":1.7");
    assert_int_equal(outline_read_string(&m, &offset, &text), 0);
    assert_string_equal(text, "text");
    assert_int_equal(outline_read_u32(&m, &offset, &n), 0);
    assert_int_equal(n, 7);
    assert_int_equal(outline_read_u32(&m, &offset, &n), -EBADMSG);
    assert_int_equal(outline_parse(data, 88, &m), 0);
    assert_null(m.body);
    offset = 0;
    assert_int_equal(outline_read_string(&m, &offset, &text), -EBADMSG);
    assert_int_equal(outline_parse(data, 87, &m), -EBADMSG);
}

static void test_both_byte_orders(void **state)
{
    check(little, 104);
    check(big, 104);
}

static void test_no_message(void **state)
{
    uint8_t copy[sizeof(big)];
    struct outline m;

    memcpy(copy, big, sizeof(big));
    copy[0] = 'x';
    assert_int_equal(outline_measure(copy, &m), -EBADMSG);
    memcpy(copy, big, sizeof(big));
    copy[3] = 2;
    assert_int_equal(outline_measure(copy, &m), -EBADMSG);
    memcpy(copy, big, sizeof(big));
    copy[12] = 0xff;
    assert_int_equal(outline_measure(copy, &m), -EBADMSG);
    memcpy(copy, big, sizeof(big));
    copy[4] = 0xff;
    assert_int_equal(outline_measure(copy, &m), -EBADMSG);
}

/* A message of any header bytes is measured the same whole or cut, and no read leaves it. */
static void test_any_byte_changed(void **state)
{
    for (size_t at = 0; at < 88; at++)
        for (int v = 0; v < 256; v++) {
            _cleanup_free_ uint8_t *copy = malloc(104);
            struct outline m;

            memcpy(copy, big, 104);
            copy[at] = (uint8_t)v;
            if (outline_measure(copy, &m) >= 0 && m.size <= 104)
                (void)outline_parse(copy, 104, &m);
        }
}

/* sd-bus itself takes a stub for a message. */
static void test_stubs(void **state)
{
    _cleanup_free_ uint8_t *stub = NULL;
    struct outline m, again;
    size_t size;

    assert_int_equal(outline_parse(big, 104, &m), 0);
    assert_int_equal(outline_stub(&m, &stub, &size), 0);
    assert_int_equal(outline_parse(stub, size, &again), 0);
    assert_int_equal(again.size, size);
    assert_int_equal(again.body_size, 0);
    assert_int_equal(again.serial, 5);
    assert_string_equal(again.path, "/a");
    assert_string_equal(again.interface, "org.b");
    assert_string_equal(again.member, "C");
    assert_string_equal(again.sender, ":1.7");
    assert_int_equal(again.flags, m.flags);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_both_byte_orders),
        cmocka_unit_test(test_no_message),
        cmocka_unit_test(test_any_byte_changed),
        cmocka_unit_test(test_stubs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
