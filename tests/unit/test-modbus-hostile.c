/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* modbus.so against servers that do not keep to Modbus: whatever comes back, the call ends in time with an error, and
 * the next good answer is taken. */

#include "modbus-host.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define N(a) (sizeof(a) / sizeof((a)[0]))
#define REQUEST_SIZE 12 /* of a read */

/* The request asks for one holding register. A good answer has 11 bytes:
 * transaction (2), protocol 0 0, length 0 5, unit, function 3, byte count 2, the register 0x12 0x34. */
enum manner {
    SEND,
    NOTHING,
    CLOSE,
    SEND_AND_CLOSE,
    SEND_TWICE,
    SEND_AND_NOISE,
    DRIP,
    NOISE,
};

/* The answers that are not good ones: what is changed in it, how much is sent of it, and how. */
static const struct spoil {
    const char *name;
    bool good; /* the value is there all the same */
    enum manner manner;
    size_t size;
    struct {
        uint8_t at, value;
    } change[3];
} spoils[] = {
    {"good", true, SEND, 11, {{0}}},
    {"silence", false, NOTHING, 0, {{0}}},
    {"close", false, CLOSE, 0, {{0}}},
    {"close halfway", false, SEND_AND_CLOSE, 9, {{0}}},
    {"short", false, SEND, 9, {{0}}},
    {"other transaction", false, SEND, 11, {{1, 0xee}}},
    {"other protocol", false, SEND, 11, {{2, 7}, {3, 7}}}, /* libmodbus accepts it if one of the two is 0 */
    {"other function", false, SEND, 11, {{7, 4}}},
    {"exception of another function", false, SEND, 9, {{5, 3}, {7, 0x84}, {8, 2}}},
    {"odd byte count", false, SEND, 10, {{5, 4}, {8, 1}}},
    {"too many bytes", false, SEND, 9 + 246, {{5, 249}, {8, 246}}},
    {"length zero", false, SEND, 9, {{5, 0}, {8, 0}}},
    {"length huge", false, SEND, 300, {{4, 0xff}, {5, 0xff}, {8, 0xff}}},
    {"endless", false, SEND_AND_NOISE, 11, {{8, 0xff}}},
    {"byte by byte", false, DRIP, 11, {{0}}},
    {"noise", false, NOISE, 0, {{0}}},
    {"twice", true, SEND_TWICE, 11, {{0}}},
    {"noise behind it", true, SEND_AND_NOISE, 11, {{0}}},
};

struct bad_server {
    int listener;
    unsigned port;
    pthread_t thread;
    atomic_int spoil;
    atomic_bool stop;
};

static void send_all(int fd, const void *data, size_t n)
{
    (void)!send(fd, data, n, MSG_NOSIGNAL);
}

static void drip(int fd, const uint8_t *data, size_t n)
{
    for (size_t i = 0; i < n && send(fd, data + i, 1, MSG_NOSIGNAL) == 1; i++)
        (void)usleep(60000);
}

static void send_noise(int fd, size_t n)
{
    uint8_t noise[512];

    for (size_t i = 0; i < sizeof noise; i++)
        noise[i] = (uint8_t)random();
    for (; n > 0; n--)
        send_all(fd, noise, sizeof noise);
}

/* False if the connection is to be closed. */
static bool answer(int fd, const uint8_t *request, const struct spoil *spoil)
{
    uint8_t a[300] = {request[0], request[1], 0, 0, 0, 5, request[6], 3, 2, 0x12, 0x34};

    for (size_t i = 0; i < N(spoil->change); i++)
        if (spoil->change[i].at != 0)
            a[spoil->change[i].at] = spoil->change[i].value;
    switch (spoil->manner) {
    case SEND_TWICE:
        send_all(fd, a, spoil->size);
        send_all(fd, a, spoil->size);
        break;
    case SEND_AND_NOISE:
        send_all(fd, a, spoil->size);
        send_noise(fd, 20);
        break;
    case SEND:
    case SEND_AND_CLOSE:
        send_all(fd, a, spoil->size);
        break;
    case DRIP:
        drip(fd, a, spoil->size);
        break;
    case NOISE:
        send_noise(fd, 1);
        break;
    case NOTHING:
    case CLOSE:
        break;
    }
    return spoil->manner != CLOSE && spoil->manner != SEND_AND_CLOSE;
}

static void *serve(void *argument)
{
    struct bad_server *s = argument;
    uint8_t request[REQUEST_SIZE];

    while (!s->stop) {
        int fd = accept(s->listener, NULL, NULL);
        if (fd < 0)
            continue;
        while (recv(fd, request, sizeof request, MSG_WAITALL) == REQUEST_SIZE)
            if (!answer(fd, request, &spoils[s->spoil]))
                break;
        close(fd);
    }
    return NULL;
}

static int listen_local(int backlog, unsigned *ret_port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(listen(fd, backlog), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &n), 0);
    *ret_port = ntohs(a.sin_port);
    return fd;
}

static int connect_local(unsigned port)
{
    struct sockaddr_in a = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons((uint16_t)port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    assert_true(fd >= 0);
    (void)connect(fd, (struct sockaddr *)&a, sizeof a);
    return fd;
}

static struct gatehouse_device *open_at(unsigned port, const char *more)
{
    static const char *const points[] = {"!x {\"table\": \"holding\", \"address\": 0, \"type\": \"uint16\"}", NULL};
    char section[256];

    (void)snprintf(section, sizeof section,
                   "{\"url\": \"tcp://127.0.0.1:%u\", \"timeout\": \"600ms\", \"retries\": 0%s}", port, more);
    return host_open(section, points);
}

static void test_spoiled_answers(void **state)
{
    struct bad_server s = {0};
    struct gatehouse_value v;
    char error[256];

    (void)state;
    s.listener = listen_local(8, &s.port);
    assert_int_equal(pthread_create(&s.thread, NULL, serve, &s), 0);
    struct gatehouse_device *d = open_at(s.port, "");
    for (size_t i = 0; i < N(spoils); i++) {
        uint64_t start = test_now();
        s.spoil = (int)i;
        int r = host_load()->read(d->data, "x", &v, error, sizeof error);
        if ((r == 0) != spoils[i].good)
            fail_msg("%s: %d %s", spoils[i].name, r, error);
        if (r == 0)
            assert_int_equal(v.t, 0x1234);
        /* Once for all bytes, however slowly they come. */
        assert_true(test_now() - start < 5 * SECONDS);
        s.spoil = 0;
        do /* the server may still be busy spoiling */
            r = host_load()->read(d->data, "x", &v, error, sizeof error);
        while (r < 0 && test_now() - start < 10 * SECONDS);
        if (r < 0)
            fail_msg("after %s: %d %s", spoils[i].name, r, error);
        assert_int_equal(v.t, 0x1234);
    }
    host_close(d);
    s.stop = true;
    close(connect_local(s.port));
    assert_int_equal(pthread_join(s.thread, NULL), 0);
    close(s.listener);
}

static bool has_failed(struct gatehouse_device **d)
{
    return d[0]->has_state && d[0]->state == GATEHOUSE_STATE_FAILED;
}

/* A host that swallows connection attempts: here, a listener whose queue is full. */
static void test_dead_host(void **state)
{
    unsigned port;
    int listener = listen_local(0, &port), fillers[8];
    struct gatehouse_value v = {GATEHOUSE_UINT, .t = 1};
    char error[256];

    (void)state;
    for (size_t i = 0; i < N(fillers); i++)
        fillers[i] = connect_local(port);
    struct gatehouse_device *d = open_at(port, ", \"interval\": \"20ms\"");
    uint64_t start = test_now();
    assert_true(host_run(&d, 1, has_failed, 10 * SECONDS));
    assert_true(test_now() - start < 5 * SECONDS);
    assert_non_null(strstr(d->reason, "cannot connect: Connection timed out"));
    assert_true(d->next > start + SECONDS); /* left alone for a while */
    assert_int_equal(host_load()->write(d->data, "x", &v, &v, error, sizeof error), -EHOSTUNREACH);
    host_close(d);
    for (size_t i = 0; i < N(fillers); i++)
        close(fillers[i]);
    close(listener);
}

/* Where nobody listens, TCP on one machine can connect a socket to itself; what is sent then comes back as an answer.
 */
static void test_unresolved_and_refused(void **state)
{
    static const char *const points[] = {"x {\"table\": \"holding\", \"address\": 0, \"type\": \"uint16\"}", NULL};
    struct gatehouse_device *d;
    unsigned port;

    (void)state;
    close(listen_local(1, &port));
    d = open_at(port, "");
    assert_true(host_run(&d, 1, has_failed, 10 * SECONDS));
    assert_non_null(strstr(d->reason, "cannot connect: Connection refused"));
    host_close(d);
    d = host_open("{\"url\": \"tcp://no-such-host.invalid\"}", points);
    assert_true(host_run(&d, 1, has_failed, 60 * SECONDS));
    assert_non_null(strstr(d->reason, "no-such-host.invalid cannot be resolved"));
    host_close(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_spoiled_answers),
        cmocka_unit_test(test_dead_host),
        cmocka_unit_test(test_unresolved_and_refused),
    };

    return cmocka_run_group_tests_name("modbus-hostile", tests, NULL, NULL);
}
