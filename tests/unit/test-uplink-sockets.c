/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "uplink/sockets.h"

#include "base/clock.h"
#include "base/limits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define N 100

/* A socket with something to read. */
struct owner {
    struct socket_watch watch;
    int ends[2];
    bool removes_all;
};

static struct owner *owners[N];
static struct sockets *sockets;
static size_t n_read;

static void drop(size_t i)
{
    sockets_remove(sockets, owners[i]->ends[0], &owners[i]->watch);
    close(owners[i]->ends[0]);
    close(owners[i]->ends[1]);
    free(owners[i]);
    owners[i] = NULL;
}

static void on_readable(struct socket_watch *watch)
{
    struct owner *o = (struct owner *)watch;
    char c;

    assert_int_equal(read(o->ends[0], &c, 1), 1);
    n_read++;
    for (size_t i = 0; o->removes_all && i < N; i++)
        if (owners[i] && owners[i] != o)
            drop(i);
}

static void make(size_t i)
{
    struct owner *o = calloc(1, sizeof(*o));

    assert_non_null(o);
    assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, o->ends), 0);
    o->watch.readable = on_readable;
    assert_int_equal(sockets_add(sockets, o->ends[0], &o->watch), 0);
    assert_int_equal(write(o->ends[1], "x", 1), 1);
    owners[i] = o;
}

static int setup(void **state)
{
    sd_event *event;

    n_read = 0;
    assert_int_equal(sd_event_new(&event), 0);
    assert_int_equal(sockets_new(event, &sockets), 0);
    for (size_t i = 0; i < N; i++)
        make(i);
    *state = event;
    return 0;
}

static int teardown(void **state)
{
    for (size_t i = 0; i < N; i++)
        if (owners[i])
            drop(i);
    sockets_free(sockets);
    sd_event_unref(*state);
    return 0;
}

static size_t run(sd_event *event)
{
    size_t turns = 0;

    while (sd_event_run(event, 0) > 0)
        turns++;
    return turns;
}

static void all_are_read_a_few_in_each_turn(void **state)
{
    size_t turns = run(*state);

    assert_int_equal(n_read, N);
    assert_in_range(turns, N / SOCKETS_PER_TURN, 2 * N / SOCKETS_PER_TURN + 2);
}

/* What the same question brought for those that are gone is not handed out. */
static void one_may_remove_and_free_all_others(void **state)
{
    for (size_t i = 0; i < N; i++)
        owners[i]->removes_all = true;
    run(*state);
    assert_int_equal(n_read, 1);
}

/* A peer that sends without end is read as often as one may send, the others as soon as they have something. */
static void a_flood_on_one_socket_rests(void **state)
{
    uint64_t begun = clock_boottime(), until = begun + USEC_PER_SEC / 2;
    size_t others = 0, before;
    struct owner *flooded;

    run(*state);
    flooded = owners[0];
    before = n_read;
    while (clock_boottime() < until) {
        while (write(flooded->ends[1], "x", 1) == 1)
            ;
        assert_int_equal(write(owners[1]->ends[1], "y", 1), 1);
        others++;
        run(*state);
        if (others == 100)
            break; /* the other one may not be told to rest */
    }
    while (clock_boottime() < until) {
        while (write(flooded->ends[1], "x", 1) == 1)
            ;
        run(*state);
    }
    /* As many as the time that it took has brought, which is longer on a busy machine. */
    assert_in_range(n_read - before - others, DATAGRAMS_BURST / 2,
                    DATAGRAMS_BURST + DATAGRAMS_PER_SEC / 10 +
                        DATAGRAMS_PER_SEC * (clock_boottime() - begun) / USEC_PER_SEC);
    /* It is heard again when it has rested. */
    before = n_read;
    until = clock_boottime() + 10 * USEC_PER_SEC;
    while (n_read == before && clock_boottime() < until) {
        (void)!write(flooded->ends[1], "x", 1);
        run(*state);
    }
    assert_true(n_read > before);
}

/* One that rests can be removed, and leaves nothing behind for the timer. */
static void one_that_rests_may_be_removed(void **state)
{
    uint64_t until = clock_boottime() + 2 * DATAGRAMS_REST;

    for (size_t i = 0; i < 2 * DATAGRAMS_BURST; i++) {
        (void)!write(owners[0]->ends[1], "x", 1);
        run(*state);
    }
    n_read = 0;
    drop(0);
    while (clock_boottime() < until)
        run(*state);
    assert_int_equal(n_read, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(all_are_read_a_few_in_each_turn, setup, teardown),
        cmocka_unit_test_setup_teardown(one_may_remove_and_free_all_others, setup, teardown),
        cmocka_unit_test_setup_teardown(a_flood_on_one_socket_rests, setup, teardown),
        cmocka_unit_test_setup_teardown(one_that_rests_may_be_removed, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
