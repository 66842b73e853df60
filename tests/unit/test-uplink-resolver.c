/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "uplink/resolver.h"

#include "base/limits.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void test_literals(void **state)
{
    static const struct {
        const char *host, *text;
    } cases[] = {
        {"192.0.2.7", "192.0.2.7:5684"},
        {"2001:db8::1", "[2001:db8::1]:5684"},
        {"::1", "[::1]:5684"},
    };

    for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
        _cleanup_(resolver_putp) struct resolver *r = NULL;
        char text[RESOLVER_ADDRESS_TEXT_MAX];
        struct resolver_wait wait = {0};

        /* No pool of workers: a literal that wanted a thread would crash here. */
        assert_int_equal(resolver_get(NULL, cases[i].host, 5684, &r, NULL), 0);
        assert_int_equal(resolver_ask(r, &wait), 1);
        assert_int_equal(resolver_count(r), 1);
        resolver_address_text(resolver_at(r, 0), text);
        assert_string_equal(text, cases[i].text);
        resolver_failed(r, USEC_PER_HOUR);
        resolver_failed(r, USEC_PER_HOUR);
        resolver_failed(r, USEC_PER_HOUR);
        resolver_again(r, USEC_PER_HOUR);
        assert_int_equal(resolver_count(r), 1);
    }
}

static void test_bad_endpoints(void **state)
{
    struct resolver *r = NULL;
    struct error e = {0};

    assert_int_equal(resolver_get(NULL, "", 5684, &r, &e), -EINVAL);
    assert_int_equal(resolver_get(NULL, "127.0.0.1", 0, &r, &e), -EINVAL);
    assert_non_null(strstr(e.text, "host and a port"));
    assert_null(r);
}

struct outcome {
    sd_event *event;
    unsigned calls, awaited;
    int r;
    char why[256];
};

static void on_done(int r, const char *why, void *userdata)
{
    struct outcome *o = userdata;

    o->r = r;
    snprintf(o->why, sizeof(o->why), "%s", why);
    if (++o->calls == o->awaited)
        sd_event_exit(o->event, 0);
}

static void look_up(const char *host, unsigned waiting, struct resolver **ret, struct outcome *o)
{
    static struct workers *workers;
    static struct resolver_wait waits[8];

    memset(waits, 0, sizeof(waits));
    *o = (struct outcome){.awaited = waiting};
    assert_true(sd_event_new(&o->event) >= 0);
    assert_int_equal(workers_new(o->event, 1, &workers), 0);
    assert_int_equal(resolver_get(workers, host, 5684, ret, NULL), 0);
    for (unsigned i = 0; i < waiting + 1; i++) {
        waits[i].done = on_done;
        waits[i].userdata = o;
        assert_int_equal(resolver_ask(*ret, &waits[i]), 0);
    }
    resolver_cancel(&waits[waiting / 2]);
    assert_true(sd_event_loop(o->event) >= 0);
    workers = workers_free(workers);
    o->event = sd_event_unref(o->event);
}

static void test_unknown_host(void **state)
{
    _cleanup_(resolver_putp) struct resolver *r = NULL;
    struct outcome o;

    look_up("no-such-host.invalid", 1, &r, &o);
    assert_true(o.r < 0);
    assert_non_null(strstr(o.why, "\"no-such-host.invalid\""));
    assert_int_equal(resolver_count(r), 0);
    assert_null(resolver_at(r, 0));
}

static void test_one_look_up_for_all(void **state)
{
    _cleanup_(resolver_putp) struct resolver *r = NULL;
    struct outcome o;

    look_up("localhost", 5, &r, &o);
    assert_int_equal(o.r, 0);
    assert_int_equal(o.calls, 5);
    assert_true(resolver_count(r) > 0);
}

/* Two uplinks at one cloud know the same addresses, and which of them last worked; each may go first. */
static void test_shared(void **state)
{
    struct resolver *one, *other, *another_port;

    assert_int_equal(resolver_get(NULL, "192.0.2.7", 5684, &one, NULL), 0);
    assert_int_equal(resolver_get(NULL, "192.0.2.7", 5684, &other, NULL), 0);
    assert_int_equal(resolver_get(NULL, "192.0.2.7", 8883, &another_port, NULL), 0);
    assert_ptr_equal(one, other);
    assert_ptr_not_equal(one, another_port);
    assert_null(resolver_put(one));
    assert_int_equal(resolver_count(other), 1);
    resolver_put(other);
    resolver_put(another_port);
}

static struct resolver_address address(const char *text)
{
    struct resolver_address a = {0};

    if (inet_pton(AF_INET, text, &a.v4.sin_addr) == 1) {
        a.v4.sin_family = AF_INET;
        a.size = sizeof(a.v4);
    } else {
        assert_int_equal(inet_pton(AF_INET6, text, &a.v6.sin6_addr), 1);
        a.v6.sin6_family = AF_INET6;
        a.size = sizeof(a.v6);
    }
    return a;
}

static void test_interleave(void **state)
{
    static const struct {
        const char *before[6], *after[6];
    } cases[] = {
        {{"::1", "::2", "::3", "1.0.0.1", "1.0.0.2"}, {"::1", "1.0.0.1", "::2", "1.0.0.2", "::3"}},
        {{"1.0.0.1", "::1", "::2"}, {"1.0.0.1", "::1", "::2"}},
        {{"1.0.0.1", "1.0.0.2", "::1"}, {"1.0.0.1", "::1", "1.0.0.2"}},
        {{"1.0.0.1", "1.0.0.2"}, {"1.0.0.1", "1.0.0.2"}},
        {{"::1"}, {"::1"}},
        {{NULL}, {NULL}},
    };

    for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
        struct resolver_address list[6];
        size_t n = 0;

        for (; cases[i].before[n]; n++)
            list[n] = address(cases[i].before[n]);
        resolver_interleave(list, n);
        for (size_t k = 0; k < n; k++) {
            struct resolver_address expected = address(cases[i].after[k]);

            assert_true(resolver_address_equal(&list[k], &expected));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_literals),     cmocka_unit_test(test_bad_endpoints),
        cmocka_unit_test(test_unknown_host), cmocka_unit_test(test_one_look_up_for_all),
        cmocka_unit_test(test_interleave),   cmocka_unit_test(test_shared),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
