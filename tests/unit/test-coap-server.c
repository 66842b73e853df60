/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The exchange layer against libcoap's own server over plain UDP. Skipped (77) where libcoap3-bin is not installed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "coap/exchange.h"

#include <arpa/inet.h>
#include <cmocka.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

#define SERVER "coap-server-notls"
#define DEADLINE (20 * USEC_PER_SEC)

static struct {
    pid_t server;
    int fd;
    struct coap_endpoint *ep;
} t;

struct answer {
    unsigned calls;
    int r;
    uint8_t code;
    int content_format;
    int32_t observe;
    size_t size;
    char body[8192];
    char location[128];
};

static void answered(int r, const struct uplink_response *response, void *userdata)
{
    struct answer *a = userdata;

    a->calls++;
    a->r = r;
    if (!response)
        return;
    a->code = response->code;
    a->content_format = response->content_format;
    a->observe = response->observe;
    a->size = response->payload_size;
    assert_true(a->size <= sizeof(a->body));
    if (a->size > 0)
        memcpy(a->body, response->payload, a->size);
    snprintf(a->location, sizeof(a->location), "%s", response->location ? response->location : "");
}

static int send_datagram(void *userdata, const uint8_t *datagram, size_t n)
{
    if (send(t.fd, datagram, n, 0) >= 0)
        return 0;
    /* What an ICMP error of the time before the server listened left on the socket. */
    return errno == ECONNREFUSED && send(t.fd, datagram, n, 0) >= 0 ? 0 : -errno;
}

static uint64_t boottime(void *userdata)
{
    return clock_boottime();
}

static const struct coap_endpoint_ops ops = {.send = send_datagram, .now = boottime};

/* Runs until *calls has reached `want`. */
static void await(const unsigned *calls, unsigned want)
{
    uint64_t until = clock_boottime() + DEADLINE;

    while (*calls < want) {
        struct pollfd p = {.fd = t.fd, .events = POLLIN};
        uint64_t now = clock_boottime(), next = MIN_OF(coap_endpoint_deadline(t.ep), until);
        uint8_t buf[4096];
        ssize_t n;

        assert_true(now < until);
        poll(&p, 1, next <= now ? 0 : (int)((next - now) / USEC_PER_MSEC + 1));
        n = recv(t.fd, buf, sizeof(buf), MSG_DONTWAIT);
        if (n > 0)
            coap_endpoint_receive(t.ep, clock_boottime(), buf, (size_t)n);
        coap_endpoint_tick(t.ep, clock_boottime());
    }
    assert_int_equal(*calls, want);
}

static struct answer ask(uint8_t method, const char *path, int format, const void *payload, size_t n)
{
    const struct uplink_request request = {.method = method,
                                           .target = path,
                                           .content_format = format,
                                           .accept = -1,
                                           .payload = payload,
                                           .payload_size = n};
    struct answer a = {0};

    assert_int_equal(coap_request(t.ep, clock_boottime(), &request, answered, &a, NULL), 0);
    await(&a.calls, 1);
    return a;
}

static void new_endpoint(unsigned block_size)
{
    const struct coap_endpoint_options options = {.ops = &ops, .block_size = block_size};

    coap_endpoint_free(t.ep);
    assert_int_equal(coap_endpoint_new(&options, &t.ep), 0);
}

static void test_get(void **state)
{
    struct answer a = ask(COAP_GET, "", -1, NULL, 0);

    assert_int_equal(a.r, 0);
    assert_int_equal(a.code, COAP_CONTENT);
    assert_non_null(memmem(a.body, a.size, "test server", 11));
    a = ask(COAP_GET, "nowhere/at/all?x=1", -1, NULL, 0);
    assert_int_equal(a.r, 0);
    assert_int_equal(a.code, COAP_NOT_FOUND);
}

/* libcoap answers one ping a second: this one may be a retransmission's. */
static void test_ping(void **state)
{
    struct answer a = {0};

    assert_int_equal(coap_ping(t.ep, clock_boottime(), answered, &a, NULL), 0);
    await(&a.calls, 1);
    assert_int_equal(a.r, 0);
}

static void test_separate(void **state)
{
    struct coap_statistics before, s;
    struct answer a;

    coap_endpoint_statistics(t.ep, &before);
    a = ask(COAP_GET, "async?1", -1, NULL, 0);

    assert_int_equal(a.r, 0);
    assert_int_equal(a.code, COAP_CONTENT);
    assert_memory_equal(a.body, "done", 4);
    coap_endpoint_statistics(t.ep, &s);
    assert_int_equal(s.retransmitted, before.retransmitted);
    assert_int_equal(s.exchanges, 0);
}

/* A body over 2 KiB out and back, in blocks of each size. */
static void test_blocks(void **state)
{
    static const unsigned sizes[] = {1024, 256, 64};
    char body[2500];

    for (size_t i = 0; i < sizeof(body); i++)
        body[i] = (char)('a' + i * 7 % 26);
    for (size_t i = 0; i < ELEMENTSOF(sizes); i++) {
        struct answer a;

        new_endpoint(sizes[i]);
        body[0] = (char)('0' + i);
        a = ask(COAP_PUT, "example_data", 50, body, sizeof(body));
        assert_int_equal(a.r, 0);
        assert_int_equal(COAP_CODE_CLASS(a.code), 2);
        a = ask(COAP_GET, "example_data", -1, NULL, 0);
        assert_int_equal(a.r, 0);
        assert_int_equal(a.code, COAP_CONTENT);
        assert_int_equal(a.content_format, 50);
        assert_int_equal(a.size, sizeof(body));
        assert_memory_equal(a.body, body, sizeof(body));
    }
    new_endpoint(0);
}

static void test_create_and_delete(void **state)
{
    struct answer a = ask(COAP_PUT, "made%20here/x", 0, "v", 1);

    assert_int_equal(a.code, COAP_CREATED);
    a = ask(COAP_GET, "made%20here/x", -1, NULL, 0);
    assert_int_equal(a.code, COAP_CONTENT);
    assert_int_equal(a.size, 1);
    a = ask(COAP_DELETE, "made%20here/x", -1, NULL, 0);
    assert_int_equal(a.code, COAP_DELETED);
    a = ask(COAP_GET, "made%20here/x", -1, NULL, 0);
    assert_int_equal(a.code, COAP_NOT_FOUND);
}

/* Notifications at each change, also one in blocks; after a "new session" the observation is there again. */
static void test_observe(void **state)
{
    char body[1500];
    struct answer seen = {0};
    struct uplink_subscription *o;

    memset(body, 'n', sizeof(body));
    ask(COAP_PUT, "example_data", 0, "first", 5);
    assert_int_equal(coap_observe(t.ep, clock_boottime(), "example_data", -1, answered, &seen, &o), 0);
    await(&seen.calls, 1);
    assert_int_equal(seen.r, 0);
    assert_true(seen.observe >= 0);
    assert_memory_equal(seen.body, "first", 5);

    ask(COAP_PUT, "example_data", 0, "second", 6);
    await(&seen.calls, 2);
    assert_int_equal(seen.size, 6);
    assert_memory_equal(seen.body, "second", 6);

    ask(COAP_PUT, "example_data", 0, body, sizeof(body));
    await(&seen.calls, 3);
    assert_int_equal(seen.r, 0);
    assert_int_equal(seen.size, sizeof(body));
    assert_memory_equal(seen.body, body, sizeof(body));

    coap_endpoint_reconnected(t.ep, clock_boottime());
    await(&seen.calls, 4);
    assert_int_equal(seen.size, sizeof(body));
    uplink_subscription_cancel(o);
    ask(COAP_PUT, "example_data", 0, "third", 5);
    ask(COAP_GET, "", -1, NULL, 0);
    assert_int_equal(seen.calls, 4);
}

static bool installed(const char *program)
{
    const char *path = getenv("PATH");
    char file[512];

    while (path && *path) {
        size_t n = strcspn(path, ":");

        snprintf(file, sizeof(file), "%.*s/%s", (int)n, path, program);
        if (access(file, X_OK) == 0)
            return true;
        path += n + (path[n] == ':');
    }
    return false;
}

/* Pings until it listens. */
static bool await_server(void)
{
    static const uint8_t ping[] = {0x40, 0, 0, 1};
    uint64_t until = clock_boottime() + DEADLINE;

    while (clock_boottime() < until) {
        struct pollfd p = {.fd = t.fd, .events = POLLIN};
        uint8_t buf[16];

        send(t.fd, ping, sizeof(ping), 0);
        if (poll(&p, 1, 20) > 0 && recv(t.fd, buf, sizeof(buf), 0) > 0)
            return true;
    }
    return false;
}

static int start_server(void **state)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(a);
    char port[8];
    _cleanup_close_ int reserve = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (bind(reserve, (struct sockaddr *)&a, size) < 0 || getsockname(reserve, (struct sockaddr *)&a, &size) < 0)
        return -1;
    snprintf(port, sizeof(port), "%u", ntohs(a.sin_port));
    reserve = safe_close(reserve);
    t.server = fork();
    if (t.server == 0) {
        int null = open("/dev/null", O_RDWR);

        dup2(null, 1);
        dup2(null, 2);
        execlp(SERVER, SERVER, "-A", "127.0.0.1", "-p", port, "-d", "10", "-v", "0", NULL);
        _exit(127);
    }
    t.fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (t.server < 0 || connect(t.fd, (struct sockaddr *)&a, size) < 0)
        return -1;
    new_endpoint(0);
    return await_server() ? 0 : -1;
}

static int stop_server(void **state)
{
    t.ep = coap_endpoint_free(t.ep);
    t.fd = safe_close(t.fd);
    kill(t.server, SIGTERM);
    waitpid(t.server, NULL, 0);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_get),
        cmocka_unit_test(test_ping),
        cmocka_unit_test(test_separate),
        cmocka_unit_test(test_blocks),
        cmocka_unit_test(test_create_and_delete),
        cmocka_unit_test(test_observe),
    };

    if (!installed(SERVER)) {
        fprintf(stderr, "%s (Debian: libcoap3-bin) is not installed\n", SERVER);
        return 77;
    }
    return cmocka_run_group_tests(tests, start_server, stop_server);
}
