/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Against a service on the other end of a socket, which says yes, says no, does not know the property, or goes away. */
#include "bus/timedate.h"

#include "base/limits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

struct service {
    sd_bus *bus;
    int synchronized;
};

struct heard {
    int times;
    bool synchronized;
};

static int get(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply,
               void *userdata, sd_bus_error *error)
{
    struct service *s = userdata;

    return s->synchronized < 0 ? -EIO : sd_bus_message_append(reply, "b", s->synchronized);
}

static const sd_bus_vtable vtable[] = {SD_BUS_VTABLE_START(0), SD_BUS_PROPERTY("NTPSynchronized", "b", get, 0, 0),
                                       SD_BUS_VTABLE_END};

static void open_end(int fd, bool server, sd_bus **ret)
{
    sd_id128_t id;

    assert_int_equal(sd_bus_new(ret), 0);
    assert_true(sd_bus_set_fd(*ret, fd, fd) >= 0);
    if (server) {
        assert_int_equal(sd_id128_randomize(&id), 0);
        assert_true(sd_bus_set_server(*ret, true, id) >= 0);
    }
    assert_true(sd_bus_set_anonymous(*ret, true) >= 0);
    assert_true(sd_bus_start(*ret) >= 0);
}

static void on_done(bool synchronized, void *userdata)
{
    struct heard *h = userdata;

    h->times++;
    h->synchronized = synchronized;
}

/* Both ends in turns, until the question is answered. */
static void turn(struct service *s, sd_bus *client, struct heard *h)
{
    for (int i = 0; i < 10000 && h->times == 0; i++) {
        if (s->bus)
            assert_true(sd_bus_process(s->bus, NULL) >= 0);
        if (sd_bus_process(client, NULL) < 0)
            return;
    }
}

static void open_both(struct service *s, sd_bus **ret_client)
{
    int fds[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), 0);
    open_end(fds[0], true, &s->bus);
    open_end(fds[1], false, ret_client);
}

static struct heard ask(int synchronized, bool known)
{
    struct service s = {.synchronized = synchronized};
    struct heard h = {0};
    sd_bus_slot *slot = NULL;
    sd_bus *client;

    open_both(&s, &client);
    if (known)
        assert_true(sd_bus_add_object_vtable(s.bus, NULL, "/org/freedesktop/timedate1", "org.freedesktop.timedate1",
                                             vtable, &s) >= 0);
    assert_int_equal(timedate_ask(client, on_done, &h, &slot), 0);
    turn(&s, client, &h);
    assert_int_equal(h.times, 1);
    sd_bus_slot_unref(slot);
    sd_bus_close_unref(s.bus);
    sd_bus_close_unref(client);
    return h;
}

static void test_answers(void **state)
{
    assert_true(ask(1, true).synchronized);
    assert_false(ask(0, true).synchronized);
}

static void test_not_known_is_not_synchronized(void **state)
{
    assert_false(ask(-1, true).synchronized);
    assert_false(ask(1, false).synchronized);
}

static void test_a_cancelled_question_is_not_answered(void **state)
{
    struct service s = {.synchronized = 1};
    struct heard h = {0};
    sd_bus_slot *slot = NULL;
    sd_bus *client;

    open_both(&s, &client);
    assert_int_equal(timedate_ask(client, on_done, &h, &slot), 0);
    sd_bus_slot_unref(slot);
    for (int i = 0; i < 100; i++) {
        assert_true(sd_bus_process(s.bus, NULL) >= 0);
        assert_true(sd_bus_process(client, NULL) >= 0);
    }
    assert_int_equal(h.times, 0);
    sd_bus_close_unref(s.bus);
    sd_bus_close_unref(client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_not_known_is_not_synchronized),
        cmocka_unit_test(test_a_cancelled_question_is_not_answered),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
