/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/names.h"
#include "base/strbuf.h"
#include "link-bench.h"
#include "link-packets.h"

#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <sys/socket.h>
#include <sys/un.h>

#define DEADLINE (60 * USEC_PER_SEC)

static void on_report(struct link_driver *d, struct link_report *token, const char *device,
                      const struct sample *samples, size_t n, void *userdata)
{
    struct bench *f = userdata;

    if (f->refused && strcmp(device, f->refused) == 0) {
        f->n_refused++;
        link_report_done(token, -ENOSPC);
        return;
    }
    f->reports++;
    f->samples += n;
    for (size_t i = 0; i < n; i++) {
        f->disorder += samples[i].value.x != f->last + 1;
        f->last = samples[i].value.x;
    }
    if (f->hold)
        f->held[f->n_held++] = token;
    else
        link_report_done(token, f->answer);
}

static void on_state(struct link_driver *d, const char *device, const char *state, const char *reason, void *userdata)
{
    struct bench *f = userdata;

    f->states++;
    snprintf(f->state, sizeof(f->state), "%s %s %s", device, state, reason);
}

static void on_driver(struct link_driver *d, void *userdata)
{
    ((struct bench *)userdata)->driver = d;
}

static const struct link_host_ops host_ops = {
    .driver_changed = on_driver, .report = on_report, .device_state = on_state};

void start_host(struct bench *f, bool self_naming)
{
    const struct link_host_options options = {.runtime_dir = f->directory, .self_naming = self_naming};
    const struct link_device devices[] = {{"b", "{}", "{}"}, {"a", "{}", "{}"}};
    struct error e = {""};

    assert_int_equal(link_host_new(f->event, f->workers, &options, &host_ops, f, &f->host, &e), 0);
    assert_int_equal(link_host_set_devices(f->host, "sim", devices, 2), 0);
}

int bench_setup(void **state)
{
    struct bench *f = calloc(1, sizeof(*f));

    log_init("test", LOG_EMERG);
    snprintf(f->directory, sizeof(f->directory), "/tmp/test-link-XXXXXX");
    assert_non_null(mkdtemp(f->directory));
    assert_int_equal(sd_event_new(&f->event), 0);
    assert_int_equal(workers_new(f->event, 1, &f->workers), 0);
    start_host(f, true);
    *state = f;
    return 0;
}

int bench_teardown(void **state)
{
    struct bench *f = *state;

    while (f->n_held > 0)
        link_report_done(f->held[--f->n_held], 0);
    link_host_free(f->host);
    workers_free(f->workers);
    sd_event_unref(f->event);
    assert_int_equal(rmdir(f->directory), 0); /* the socket is gone */
    free(f);
    return 0;
}

static void turn(struct bench *f, uint64_t end)
{
    assert_true(clock_boottime() < end);
    assert_true(sd_event_run(f->event, 10 * USEC_PER_MSEC) >= 0);
}

void run_until(struct bench *f, const bool *flag)
{
    uint64_t end = clock_boottime() + DEADLINE;

    while (!*flag)
        turn(f, end);
}

void run_until_count(struct bench *f, const size_t *count, size_t wanted)
{
    uint64_t end = clock_boottime() + DEADLINE;

    while (*count < wanted)
        turn(f, end);
}

void run_until_away(struct bench *f, const char *driver)
{
    uint64_t end = clock_boottime() + DEADLINE;
    const struct link_driver *d;

    while ((d = link_host_find_driver(f->host, driver)) && link_driver_connected(d))
        turn(f, end);
}

int connect_peer(struct bench *f)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    snprintf(address.sun_path, sizeof(address.sun_path), "%s/" LINK_SOCKET, f->directory);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

int send_words(int peer, const char *words)
{
    static uint8_t buffer[LINK_PACKET_MAX];
    size_t n = packet_of(words, buffer);

    return send(peer, buffer, n, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

void say(int peer, const char *words)
{
    assert_int_equal(send_words(peer, words), 0);
}

void say_when_it_fits(struct bench *f, int peer, const char *words)
{
    uint64_t end = clock_boottime() + DEADLINE;

    while (send_words(peer, words) == -EAGAIN)
        turn(f, end);
}

void say_with(int peer, const char *words, int fd)
{
    static uint8_t buffer[LINK_PACKET_MAX];
    char control[CMSG_SPACE(sizeof(int))] __attribute__((aligned(8))) = "";
    struct iovec iov = {buffer, packet_of(words, buffer)};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
    struct cmsghdr *h = CMSG_FIRSTHDR(&m);

    *h = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
    memcpy(CMSG_DATA(h), &fd, sizeof(int));
    assert_int_equal(sendmsg(peer, &m, 0), iov.iov_len);
}

void say_samples(int peer, uint64_t serial, size_t n)
{
    static uint8_t buffer[LINK_PACKET_MAX];
    const struct sample s = {"p", 1, {.type = SAMPLE_INT, .x = 1}, "", 0};
    struct cbor_writer w;

    cbor_writer_init(&w, buffer, sizeof(buffer));
    packet_begin(&w, PACKET_REPORT, serial, 1);
    packet_put_part(&w, "a", n);
    for (size_t i = 0; i < n; i++)
        packet_put_sample(&w, &s);
    assert_false(w.full);
    assert_int_equal(send(peer, buffer, cbor_written(&w), 0), cbor_written(&w));
}

/* One item as words, whatever it is. */
static void put_item(struct strbuf *b, struct cbor_reader *r, bool outermost)
{
    struct sample_value v;
    size_t n;

    if (r->at[0] >> 5 == 4 || r->at[0] >> 5 == 5) {
        bool map = r->at[0] >> 5 == 5;

        assert_int_equal(map ? cbor_read_map(r, &n) : cbor_read_array(r, &n), 0);
        strbuf_puts(b, outermost ? "" : map ? "{" : "[");
        for (size_t i = 0; i < (map ? 2 * n : n); i++) {
            strbuf_puts(b, i > 0 ? " " : "");
            put_item(b, r, false);
        }
        strbuf_puts(b, outermost ? "" : map ? "}" : "]");
        return;
    }
    assert_int_equal(cbor_read_value(r, LINK_PACKET_MAX, &v), 0);
    if (v.type == SAMPLE_STRING)
        strbuf_puts(b, v.s);
    else {
        char *text = sample_value_text(&v);

        strbuf_puts(b, text);
        free(text);
    }
}

static ssize_t receive(struct bench *f, int peer, uint8_t *buffer)
{
    char control[CMSG_SPACE(sizeof(int))] __attribute__((aligned(8)));
    struct iovec iov = {buffer, LINK_PACKET_MAX};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
    uint64_t end = clock_boottime() + DEADLINE;
    ssize_t n;

    while ((n = recvmsg(peer, &m, 0)) < 0 && (errno == EAGAIN || errno == ECONNRESET))
        turn(f, end);
    f->passed = -EBADF;
    if (n > 0 && CMSG_FIRSTHDR(&m))
        memcpy(&f->passed, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(int));
    return n;
}

const char *hear(struct bench *f, int peer)
{
    static uint8_t buffer[LINK_PACKET_MAX];
    static struct strbuf said;
    struct cbor_reader r;
    ssize_t n = receive(f, peer, buffer);

    strbuf_done(&said);
    said = (struct strbuf){.text = NULL};
    if (n <= 0)
        return NULL;
    cbor_reader_init(&r, buffer, (size_t)n);
    put_item(&said, &r, true);
    assert_int_equal(cbor_read_end(&r), 0);
    return said.text;
}

void hear_until(struct bench *f, int peer, const char *words)
{
    const char *said;

    do {
        said = hear(f, peer);
        assert_non_null(said);
    } while (strcmp(said, words) != 0);
}

long number_in(const char *text, const char *before)
{
    assert_non_null(text);
    assert_memory_equal(text, before, strlen(before));
    return strtol(text + strlen(before), NULL, 10);
}

int count_descriptors(void)
{
    DIR *d = opendir("/proc/self/fd");
    int n = 0;

    while (readdir(d))
        n++;
    closedir(d);
    return n;
}

void ignore_complaints(int r, const struct link_failure *failure, const struct packet_complaint *complaints, size_t n,
                       void *userdata)
{
}
