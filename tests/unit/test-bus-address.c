/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus/address.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#define HEAD offsetof(struct sockaddr_un, sun_path)

static void is(const char *text, const char *path, size_t size)
{
    struct sockaddr_un a;
    socklen_t n;

    assert_int_equal(address_parse(text, &a, &n), 0);
    assert_int_equal(a.sun_family, AF_UNIX);
    assert_int_equal(n, HEAD + size);
    assert_memory_equal(a.sun_path, path, size);
}

static void test_addresses(void **state)
{
    is(NULL, "/run/dbus/system_bus_socket", 28);
    is("unix:path=/tmp/a%20b%2C,guid=00ff", "/tmp/a b,", 10);
    is("unix:guid=00ff,path=/x", "/x", 3);
    is("unix:abstract=abc,guid=1", "\0abc", 4);
    is("tcp:host=a,port=1;unix:path=/y", "/y", 3);
    is("unix:path=/first;unix:path=/second", "/first", 7);
}

static void test_no_addresses(void **state)
{
    static const char *const bad[] = {
        "",  "unix:", "unix:path=",    "unix:path=/a%2", "unix:path=/a%zz", "unix:path=%00",
        ";", "tcp:",  "unix:dir=/tmp", "path=/a"};
    char longest[300] = "unix:path=";
    struct sockaddr_un a;
    socklen_t n;

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(address_parse(bad[i], &a, &n), -EINVAL);
    memset(longest + 10, 'a', 107);
    assert_int_equal(address_parse(longest, &a, &n), 0);
    memset(longest + 10, 'a', 108);
    assert_int_equal(address_parse(longest, &a, &n), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_no_addresses),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
