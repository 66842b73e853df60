/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* In which order hosts are tried, and which server a broker's words name. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "uplink/hosts.h"

#include <string.h>

#define NOW (10 * USEC_PER_MINUTE)

static void expect_order(const struct hosts_away *away, size_t n, const char *order)
{
    struct hosts_round round = {0};

    for (const char *at = order; *at; at++) {
        assert_false(hosts_round_over(&round, n));
        assert_int_equal(hosts_next(away, n, &round, NOW), *at - '0');
    }
    assert_true(hosts_round_over(&round, n));
}

static void test_in_order(void **state)
{
    const struct hosts_away nobody_looked = {0};

    for (size_t n = 1; n <= UPLINK_HOSTS_MAX; n++) {
        char order[UPLINK_HOSTS_MAX + 1] = "01234567";

        order[n] = 0;
        expect_order(&nobody_looked, n, order);
    }
}

/* Where nobody was found a moment ago nobody waits first, and it is tried all the same. */
static void test_those_away_come_last(void **state)
{
    struct hosts_away away = {0};

    hosts_found(&away, 0, false, NOW - 1);
    expect_order(&away, 3, "120");
    hosts_found(&away, 1, false, NOW - HOST_AWAY_KNOWN + 1);
    expect_order(&away, 3, "201");
    hosts_found(&away, 2, false, NOW);
    expect_order(&away, 3, "012");
    hosts_found(&away, 1, true, NOW);
    expect_order(&away, 3, "102");
    /* That is known for a while. */
    hosts_found(&away, 0, false, NOW - HOST_AWAY_KNOWN);
    expect_order(&away, 3, "012");
}

static void test_references(void **state)
{
    static const struct {
        const char *text, *name;
        uint16_t port;
    } cases[] = {
        {"b2.example.com", "b2.example.com", 8883},
        {"b2.example.com:8884", "b2.example.com", 8884},
        {"192.0.2.7:1", "192.0.2.7", 1},
        {"[2001:db8::7]:65535", "2001:db8::7", 65535},
        {"[::1]", "::1", 8883},
        {"  ,b3 b4", "b3", 8883},
        {"mqtts://b5 b6:8884", "b6", 8884},
        {"b7:0,b8:65536,b9:12a,b10:,b11", "b11", 8883},
        {"", NULL, 0},
        {" , ,", NULL, 0},
        {"::1", NULL, 0},
        {"[::1", NULL, 0},
        {"[b]:1", NULL, 0},
        {"[::1]8883", NULL, 0},
        {":8883", NULL, 0},
        {"-b", NULL, 0},
        {"b/../c", NULL, 0},
        {"b\xc3\xa9", NULL, 0},
        {"a:b:1", NULL, 0},
        {"b%0a", NULL, 0},
        {".b", NULL, 0},
        {"[fe80::1%eth0]", NULL, 0},
        {"[fe80::1%25eth0]:1 b12:7", "b12", 7},
        {"[::1]: b13:00065", "b13", 65},
    };
    struct host_name host;

    for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
        memset(&host, 'x', sizeof(host));
        assert_int_equal(hosts_reference(cases[i].text, 8883, &host), cases[i].name ? 0 : -EINVAL);
        if (!cases[i].name)
            continue;
        assert_string_equal(host.name, cases[i].name);
        assert_int_equal(host.port, cases[i].port);
    }
}

static void test_a_reference_is_bounded(void **state)
{
    char text[2 * CONFIG_HOST_MAX];
    struct host_name host;

    memset(text, 'a', sizeof(text));
    text[CONFIG_HOST_MAX - 1] = 0;
    assert_int_equal(hosts_reference(text, 8883, &host), 0);
    assert_string_equal(host.name, text);
    text[CONFIG_HOST_MAX - 1] = 'a';
    text[CONFIG_HOST_MAX] = 0;
    assert_int_equal(hosts_reference(text, 8883, &host), -EINVAL);
}

static void test_text(void **state)
{
    char text[HOST_TEXT_MAX];

    hosts_text(&(struct host_name){"b", 8883}, text);
    assert_string_equal(text, "b:8883");
    hosts_text(&(struct host_name){"2001:db8::7", 1}, text);
    assert_string_equal(text, "[2001:db8::7]:1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_in_order),   cmocka_unit_test(test_those_away_come_last),
        cmocka_unit_test(test_references), cmocka_unit_test(test_a_reference_is_bounded),
        cmocka_unit_test(test_text),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
