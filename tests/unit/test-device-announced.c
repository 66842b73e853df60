/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "device/announced.h"

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#define TEXT "gatehouse announced 1\nbroker b:8883\ntexts 00000000000000ff\na/config\tp\nb/config\tq.r\nz/status\t\n"

static void test_list(void **state)
{
    _cleanup_(announced_done) struct announced a = {.broker = strdup("b:8883"), .texts = 255};
    _cleanup_free_ char *text = NULL;

    assert_int_equal(announced_add(&a, "z/status", ""), 1);
    assert_int_equal(announced_add(&a, "a/config", "p"), 1);
    assert_int_equal(announced_add(&a, "m/config", "p"), 1);
    assert_int_equal(announced_add(&a, "b/config", "q.r"), 1);
    assert_int_equal(announced_add(&a, "a/config", "p"), 0);
    announced_remove(&a, "m/config");
    announced_remove(&a, "n/config");
    assert_int_equal(a.n, 3);
    assert_true(announced_has(&a, "z/status"));
    assert_false(announced_has(&a, "m/config"));
    assert_int_equal(announced_format(&a, &text), 0);
    assert_string_equal(text, TEXT);
}

static void test_text(void **state)
{
    static const char *const bad[] = {
        "",
        "gatehouse announced 2\nbroker b:1\ntexts 0\n",
        "gatehouse announced 1\n",
        "gatehouse announced 1\nbroker b:1\n",
        "gatehouse announced 1\nbroker b:1\ntexts x\n",
        "gatehouse announced 1\nbroker b:1\ntexts 1\na/config\n",
        "gatehouse announced 1\nbroker b:1\ntexts 1\n\tp\n",
        "gatehouse announced 1\nbroker b:1\ntexts 1\na/config\tp",
    };
    _cleanup_(announced_done) struct announced a = {0};
    _cleanup_free_ char *text = NULL;

    assert_int_equal(announced_parse(TEXT, &a), 0);
    assert_string_equal(a.broker, "b:8883");
    assert_int_equal(a.texts, 255);
    assert_int_equal(announced_format(&a, &text), 0);
    assert_string_equal(text, TEXT);
    for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
        struct announced none = {0};

        assert_int_equal(announced_parse(bad[i], &none), -EBADMSG);
        assert_int_equal(none.n, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_list), cmocka_unit_test(test_text)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
