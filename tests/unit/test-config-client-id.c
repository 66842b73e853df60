/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "config/client-id.h"

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

static void test_made(void **state)
{
    static const struct {
        const char *template, *id;
    } table[] = {
        {"{device}", "boiler-1"},
        {"{opaque}", "abcdefghij"},
        {"gw/{hardware_id}:{device}", "gw/0011:boiler-1"},
        {"{device}{device}", "boiler-1boiler-1"},
        {"{gateway}.{device}", "site-7.boiler-1"},
    };

    for (size_t i = 0; i < ELEMENTSOF(table); i++) {
        _cleanup_free_ char *id = NULL;

        assert_null(client_id_fault(table[i].template));
        assert_int_equal(client_id_make(table[i].template, "boiler-1", "abcdefghij", "0011", "site-7", &id), 0);
        assert_string_equal(id, table[i].id);
    }
}

static void test_alike(void **state)
{
    assert_non_null(strstr(client_id_fault("{gateway}"), "all devices would have the same client id"));
    assert_non_null(strstr(client_id_fault("{gatewy}-{device}"), "{hardware_id} or {gateway}"));
}

static void test_long(void **state)
{
    char template[CLIENT_ID_TEMPLATE_MAX + 2] = "{device}";

    memset(template + 8, 'x', sizeof(template) - 9);
    template[CLIENT_ID_TEMPLATE_MAX + 1] = 0;
    assert_string_equal(client_id_fault(template), "is too long");
    template[CLIENT_ID_TEMPLATE_MAX] = 0;
    assert_null(client_id_fault(template));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_made),
        cmocka_unit_test(test_alike),
        cmocka_unit_test(test_long),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
