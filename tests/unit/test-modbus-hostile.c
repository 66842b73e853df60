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

/* How an answer is spoiled. The request asks for one holding register; a good answer is
 * tid tid 0 0 0 5 unit 3 2 high low. */
enum spoil {
    GOOD,
    SILENCE,
    CLOSE,
    CLOSE_HALFWAY,
    SHORT,
    OTHER_TRANSACTION,
    OTHER_PROTOCOL,
    OTHER_FUNCTION,
    OTHER_EXCEPTION,
    ODD_BYTE_COUNT,
    TOO_MANY_BYTES,
    LENGTH_ZERO,
    LENGTH_HUGE,
    ENDLESS,
    DRIP,
    NOISE,
    TWICE,
    UNASKED,
    SPOILS,
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

/* Spoils a good answer of n bytes, in a buffer of `size`; its new length. */
static size_t spoil_frame(uint8_t *a, size_t n, size_t size, enum spoil spoil)
{
    switch (spoil) {
    case SHORT:
        return 9;
    case OTHER_TRANSACTION:
        a[1] ^= 0x55;
        return n;
    case OTHER_PROTOCOL:
        a[2] = a[3] = 7; /* libmodbus accepts it if one of the two is 0 */
        return n;
    case OTHER_FUNCTION:
        a[7] = 4;
        return n;
    case OTHER_EXCEPTION:
        a[5] = 3;
        a[7] = 0x84;
        a[8] = 2;
        return 9;
    case ODD_BYTE_COUNT:
        a[5] = 4;
        a[8] = 1;
        return 10;
    case TOO_MANY_BYTES:
        a[5] = 250;
        a[8] = 246;
        return 9 + 246;
    case LENGTH_ZERO:
        a[5] = 0;
        a[8] = 0;
        return 9;
    case LENGTH_HUGE:
        a[4] = 0xff;
        a[5] = 0xff;
        a[8] = 0xff;
        return size;
    case ENDLESS:
        a[8] = 0xff;
        return n;
    case GOOD:
    case SILENCE:
    case CLOSE:
    case CLOSE_HALFWAY:
    case DRIP:
    case NOISE:
    case TWICE:
    case UNASKED:
    case SPOILS:
        return n;
    }
    return n;
}

/* False if the connection is to be closed. */
static bool answer(int fd, const uint8_t *request, enum spoil spoil)
{
    uint8_t a[300] = {request[0], request[1], 0, 0, 0, 5, request[6], 3, 2, 0x12, 0x34};
    size_t n = spoil_frame(a, 11, sizeof a, spoil);

    if (spoil == SILENCE || spoil == CLOSE)
        return spoil == SILENCE;
    if (spoil == CLOSE_HALFWAY) {
        send_all(fd, a, 9);
        return false;
    }
    if (spoil == DRIP)
        drip(fd, a, n);
    else if (spoil == NOISE)
        send_noise(fd, 1);
    else
        send_all(fd, a, n);
    if (spoil == TWICE)
        send_all(fd, a, n);
    if (spoil == ENDLESS || spoil == UNASKED)
        send_noise(fd, spoil == ENDLESS ? 20 : 1);
    return true;
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
            if (!answer(fd, request, (enum spoil)s->spoil))
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
                   "{\"url\": \"tcp://127.0.0.1:%u\", \"timeout\": \"150ms\", \"retries\": 0%s}", port, more);
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
    for (int spoil = GOOD; spoil < SPOILS; spoil++) {
        bool good = spoil == GOOD || spoil == TWICE || spoil == UNASKED;
        uint64_t start = test_now();
        s.spoil = spoil;
        int r = host_load()->read(d->data, "x", &v, error, sizeof error);
        if ((r == 0) != good)
            fail_msg("spoil %d: %d %s", spoil, r, error);
        if (good)
            assert_int_equal(v.t, 0x1234);
        /* Once for all bytes, however slowly they come. */
        assert_true(test_now() - start < 2 * SECONDS);
        s.spoil = GOOD;
        do /* the server may still be busy spoiling */
            r = host_load()->read(d->data, "x", &v, error, sizeof error);
        while (r < 0 && test_now() - start < 10 * SECONDS);
        if (r < 0)
            fail_msg("after spoil %d: %d %s", spoil, r, error);
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
    assert_true(test_now() - start < 2 * SECONDS);
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
