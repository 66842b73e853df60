/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "uplink/resolver.h"

#include "base/limits.h"

#include <arpa/inet.h>
#include <dlfcn.h>
#include <netdb.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* The addresses of the name moving.test; every other name is the C library's matter. */
static struct {
    const char *list[RESOLVE_ADDRESSES_MAX + 1];
    unsigned look_ups;
} moving;

static void moving_to(const char *const *list, size_t n)
{
    memset(moving.list, 0, sizeof(moving.list));
    memcpy(moving.list, list, n * sizeof(*list));
}
#define MOVING_TO(...)                                                                                                 \
    moving_to((const char *const[]){__VA_ARGS__}, sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *))

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **ret)
{
    int (*next)(const char *, const char *, const struct addrinfo *, struct addrinfo **) = dlsym(RTLD_NEXT, __func__);
    struct addrinfo numeric = *hints, **tail = ret;

    if (strcmp(node, "moving.test") != 0)
        return next(node, service, hints, ret);
    numeric.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
    if (hints->ai_flags & AI_NUMERICHOST)
        return next(node, service, &numeric, ret);
    moving.look_ups++;
    for (size_t i = 0; moving.list[i]; i++) {
        assert_int_equal(next(moving.list[i], service, &numeric, tail), 0);
        tail = &(*tail)->ai_next;
    }
    return 0;
}

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
        struct resolver_round round = {0};

        /* No pool of workers: a literal that wanted a thread would crash here. */
        assert_int_equal(resolver_get(NULL, cases[i].host, 5684, &r, NULL), 0);
        assert_int_equal(resolver_ask(r, &wait), 1);
        assert_int_equal(resolver_count(r), 1);
        resolver_address_text(resolver_next(r, &round), text);
        assert_string_equal(text, cases[i].text);
        assert_true(resolver_round_over(r, &round));
        assert_null(resolver_next(r, &round));
        resolver_again(r, USEC_PER_HOUR);
        resolver_refresh(r, USEC_PER_HOUR);
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
    assert_null(resolver_next(r, &(struct resolver_round){0}));
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

/* One look-up of moving.test after another, each awaited. */
struct mover {
    sd_event *event;
    struct workers *workers;
    struct resolver *resolver;
    struct resolver_watch watch;
    struct resolver_wait wait;
    unsigned changes, asked;
    uint64_t now;
    bool settled;
};

static void on_changed(bool asked, void *userdata)
{
    struct mover *m = userdata;

    m->changes++;
    m->asked += asked;
}

static void on_found(int r, const char *why, void *userdata)
{
    assert_int_equal(r, 0);
}

static int on_turn(void *userdata)
{
    return 0;
}

static void on_turn_done(int r, void *userdata)
{
    *(bool *)userdata = true;
}

/* The one worker takes jobs in order, so behind a look-up this comes. */
static void settle(struct mover *m)
{
    m->settled = false;
    assert_int_equal(workers_submit(m->workers, on_turn, on_turn_done, &m->settled), 0);
    while (!m->settled)
        assert_true(sd_event_run(m->event, UINT64_MAX) >= 0);
}

static void mover_init(struct mover *m)
{
    *m = (struct mover){.now = USEC_PER_HOUR};
    moving.look_ups = 0;
    assert_true(sd_event_new(&m->event) >= 0);
    assert_int_equal(workers_new(m->event, 1, &m->workers), 0);
    assert_int_equal(resolver_get(m->workers, "moving.test", 5684, &m->resolver, NULL), 0);
    m->wait.done = on_found;
    m->watch = (struct resolver_watch){.changed = on_changed, .userdata = m};
    resolver_watch_add(m->resolver, &m->watch);
    assert_int_equal(resolver_ask(m->resolver, &m->wait), 0);
    settle(m);
}

static void mover_done(struct mover *m)
{
    resolver_watch_remove(m->resolver, &m->watch);
    resolver_put(m->resolver);
    workers_free(m->workers);
    sd_event_unref(m->event);
}

static void expect_next(struct mover *m, struct resolver_round *round, const char *expected)
{
    const struct resolver_address *next = resolver_next(m->resolver, round);
    char text[RESOLVER_ADDRESS_TEXT_MAX];

    if (!expected) {
        assert_null(next);
        return;
    }
    assert_non_null(next);
    resolver_address_text(next, text);
    assert_string_equal(text, expected);
}

/* A name server that rotates its answers must not make anybody try one address twice and another never. */
static void test_rotated_answers_keep_the_round(void **state)
{
    struct resolver_round round = {0};
    struct mover m;

    MOVING_TO("192.0.2.1", "192.0.2.2", "192.0.2.3");
    mover_init(&m);
    expect_next(&m, &round, "192.0.2.1:5684");
    MOVING_TO("192.0.2.3", "192.0.2.1", "192.0.2.2");
    resolver_again(m.resolver, m.now);
    settle(&m);
    assert_int_equal(moving.look_ups, 2);
    assert_int_equal(m.changes, 0);
    expect_next(&m, &round, "192.0.2.2:5684");
    expect_next(&m, &round, "192.0.2.3:5684");
    expect_next(&m, &round, NULL);
    mover_done(&m);
}

/* ... and neither must one that leaves some out each time. */
static void test_other_answers_keep_the_round(void **state)
{
    struct resolver_round round = {0};
    struct mover m;

    MOVING_TO("192.0.2.1", "192.0.2.2", "192.0.2.3");
    mover_init(&m);
    expect_next(&m, &round, "192.0.2.1:5684");
    expect_next(&m, &round, "192.0.2.2:5684");
    MOVING_TO("192.0.2.2", "192.0.2.4", "192.0.2.1");
    resolver_again(m.resolver, m.now);
    settle(&m);
    assert_int_equal(m.changes, 1);
    expect_next(&m, &round, "192.0.2.4:5684");
    expect_next(&m, &round, NULL);
    mover_done(&m);
}

/* What works for one session is what all others try next, wherever they are in their rounds. */
static void test_working_address_comes_next(void **state)
{
    struct resolver_round round = {0};
    struct resolver_address working = address("192.0.2.4");
    struct mover m;

    working.v4.sin_port = htons(5684);
    MOVING_TO("192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4");
    mover_init(&m);
    expect_next(&m, &round, "192.0.2.1:5684");
    resolver_worked(m.resolver, &working);
    expect_next(&m, &round, "192.0.2.4:5684");
    expect_next(&m, &round, "192.0.2.2:5684");
    expect_next(&m, &round, "192.0.2.3:5684");
    expect_next(&m, &round, NULL);
    mover_done(&m);
}

static void test_moved_name(void **state)
{
    struct resolver_round round = {0};
    struct resolver_address old = address("192.0.2.1"), new = address("192.0.2.9");
    struct mover m;

    old.v4.sin_port = new.v4.sin_port = htons(5684);
    MOVING_TO("192.0.2.1");
    mover_init(&m);
    expect_next(&m, &round, "192.0.2.1:5684");
    expect_next(&m, &round, NULL);
    MOVING_TO("192.0.2.9");
    resolver_again(m.resolver, m.now);
    /* Not more often, whoever fails meanwhile. */
    resolver_again(m.resolver, m.now + RESOLVE_INTERVAL - 1);
    settle(&m);
    assert_int_equal(moving.look_ups, 2);
    assert_int_equal(m.changes, 1);
    assert_int_equal(m.asked, 0);
    assert_false(resolver_has(m.resolver, &old));
    assert_true(resolver_has(m.resolver, &new));
    /* Another set is another round. */
    expect_next(&m, &round, "192.0.2.9:5684");
    expect_next(&m, &round, NULL);
    mover_done(&m);
}

static void test_asked_for_look_up_is_at_once(void **state)
{
    struct mover m;

    MOVING_TO("192.0.2.1");
    mover_init(&m);
    resolver_again(m.resolver, m.now);
    settle(&m);
    MOVING_TO("192.0.2.9");
    resolver_refresh(m.resolver, m.now + 1);
    settle(&m);
    assert_int_equal(moving.look_ups, 3);
    assert_int_equal(m.changes, 1);
    assert_int_equal(m.asked, 1);
    mover_done(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_literals),
        cmocka_unit_test(test_bad_endpoints),
        cmocka_unit_test(test_unknown_host),
        cmocka_unit_test(test_one_look_up_for_all),
        cmocka_unit_test(test_interleave),
        cmocka_unit_test(test_shared),
        cmocka_unit_test(test_rotated_answers_keep_the_round),
        cmocka_unit_test(test_other_answers_keep_the_round),
        cmocka_unit_test(test_working_address_comes_next),
        cmocka_unit_test(test_moved_name),
        cmocka_unit_test(test_asked_for_look_up_is_at_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
