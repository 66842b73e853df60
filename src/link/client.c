/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "link/client.h"

#include "base/clock.h"
#include "base/names.h"
#include "link/client-internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/time.h>

/* ---- One connection ---- */

struct line *line_ref(struct line *l)
{
    l->refs++;
    return l;
}

static void line_close(struct line *l)
{
    l->io = sd_event_source_disable_unref(l->io);
    outbox_done(&l->out);
    line_rests_done(l);
    l->fd = safe_close(l->fd);
}

struct line *line_unref(struct line *l)
{
    if (l && --l->refs == 0) {
        line_close(l);
        free(l);
    }
    return NULL;
}

static void line_watch(struct line *l)
{
    (void)sd_event_source_set_io_events(l->io, EPOLLIN | (outbox_empty(&l->out) ? 0 : EPOLLOUT));
}

int line_send(struct line *l, const struct cbor_writer *w)
{
    int r;

    if (w->full)
        return -E2BIG;
    if (l->fd < 0)
        return -ENOTCONN;
    r = outbox_send(&l->out, l->fd, w->start, cbor_written(w), -EBADF);
    if (r >= 0)
        line_watch(l);
    return r;
}

int client_send(struct link_client *c, const struct cbor_writer *w)
{
    return c->line ? line_send(c->line, w) : -ENOTCONN;
}

static void reconnect_later(struct link_client *c)
{
    (void)sd_event_source_set_time(c->timers.connect_timer, clock_boottime() + c->backoff);
    (void)sd_event_source_set_enabled(c->timers.connect_timer, SD_EVENT_ONESHOT);
    c->backoff = MIN_OF(c->backoff * 2, LINK_RECONNECT_MAX);
}

void client_disconnect(struct link_client *c, int r, const char *reason)
{
    struct line *line = TAKE_PTR(c->line);

    if (!line)
        return;
    client_reports_reset(c);
    incoming_reset(&c->set);
    incoming_reset(&c->check);
    c->accepted = false;
    line_close(line);
    line_unref(line);
    reconnect_later(c);
    c->ops->connection(r, reason, c->userdata);
}

/* ---- What the agent says ---- */

static int read_limit(struct link_client *c, struct cbor_reader *r)
{
    const char *key;
    uint64_t value;

    if (cbor_read_text(r, DEVICE_ID_MAX, &key) < 0 || cbor_read_uint(r, UINT64_MAX, &value) < 0)
        return -EBADMSG;
    if (strcmp(key, "report-samples") == 0)
        c->reports.report_max = (size_t)MIN_OF(MAX_OF(value, UINT64_C(1)), (uint64_t)LINK_REPORT_MAX);
    return 0;
}

static int read_limits(struct link_client *c, struct cbor_reader *r)
{
    size_t n;

    if (cbor_read_map(r, &n) < 0)
        return -EBADMSG;
    for (size_t i = 0; i < n; i++)
        if (read_limit(c, r) < 0)
            return -EBADMSG;
    return 0;
}

static int on_welcome(struct link_client *c, struct cbor_reader *r)
{
    size_t n;

    if (cbor_read_map(r, &n) < 0)
        return -EBADMSG;
    for (size_t i = 0; i < n; i++) {
        const char *key;
        uint64_t credits;

        if (cbor_read_text(r, DEVICE_ID_MAX, &key) < 0)
            return -EBADMSG;
        if (strcmp(key, "credits") == 0 && cbor_read_uint(r, SIZE_MAX, &credits) >= 0)
            c->reports.available = (size_t)credits;
        else if (r->error || strcmp(key, "limits") != 0 || read_limits(c, r) < 0)
            return cbor_fail(r, "a welcome that is not known");
    }
    c->accepted = true;
    c->backoff = LINK_RECONNECT_MIN;
    c->ops->connection(0, NULL, c->userdata);
    return client_flush_soon(c);
}

static int on_bye(struct link_client *c, struct cbor_reader *r)
{
    const char *text;

    if (cbor_read_text(r, ERROR_TEXT_MAX, &text) < 0)
        return -EBADMSG;
    client_disconnect(c, -ECONNREFUSED, text);
    return 0;
}

static int on_credit(struct link_client *c, uint64_t serial, size_t n, struct cbor_reader *r)
{
    uint64_t credits;

    if (n < 1 || n > 2 || cbor_read_uint(r, SIZE_MAX, &credits) < 0)
        return -EBADMSG;
    return client_credit(c, serial, (size_t)credits, n == 2 ? r : NULL);
}

static int dispatch(struct link_client *c, size_t size, int passed)
{
    struct cbor_reader r;
    enum packet_kind kind;
    uint64_t serial;
    size_t n;

    cbor_reader_init(&r, c->in, size);
    if (packet_open(&r, &kind, &serial, &n) < 0) {
        safe_close(passed);
        return -EBADMSG;
    }
    if (passed < 0 && kind == PACKET_WELCOME && n == 1)
        return on_welcome(c, &r);
    if (passed < 0 && kind == PACKET_CREDIT)
        return on_credit(c, serial, n, &r);
    if (passed < 0 && kind == PACKET_BYE && n == 1)
        return on_bye(c, &r);
    return client_packet(c, kind, serial, n, &r, passed);
}

/* 1: a packet, 0: none now, -ENOTCONN: the end. */
static int receive(struct link_client *c, size_t *ret_size, int *ret_passed)
{
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec iov = {c->in, LINK_PACKET_MAX};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
    ssize_t n = recvmsg(c->line->fd, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    const struct cmsghdr *h;

    /* The agent closed without having read all: said once, before what it still had to say. */
    if (n < 0 && errno == ECONNRESET)
        n = recvmsg(c->line->fd, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    h = n > 0 ? CMSG_FIRSTHDR(&m) : NULL;
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    if (n <= 0)
        return -ENOTCONN;
    *ret_passed = -EBADF;
    if (h && h->cmsg_level == SOL_SOCKET && h->cmsg_type == SCM_RIGHTS && h->cmsg_len == CMSG_LEN(sizeof(int)))
        memcpy(ret_passed, CMSG_DATA(h), sizeof(int));
    *ret_size = (size_t)n;
    return 1;
}

static void read_some(struct link_client *c)
{
    const struct line *line = c->line;

    for (unsigned i = 0; i < LINK_PACKETS_PER_TURN && c->line == line; i++) {
        size_t size;
        int passed, r = receive(c, &size, &passed);

        if (r == 0)
            return;
        if (r < 0) {
            client_disconnect(c, r, "the agent closed the connection");
            return;
        }
        r = dispatch(c, size, passed);
        if (r < 0 && c->line == line)
            client_disconnect(c, r, r == -EBADMSG ? "the agent sent what this driver does not know" : strerror(-r));
    }
}

static int on_io(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
    struct link_client *c = userdata;

    if (events & EPOLLOUT) {
        /* An error of the socket's is met again by reading, behind what the agent said before. */
        if (outbox_flush(&c->line->out, fd) < 0)
            outbox_done(&c->line->out);
        else
            client_send_told(c);
        line_watch(c->line);
    }
    if (events & ~(uint32_t)EPOLLOUT)
        read_some(c);
    return 0;
}

/* ---- Connecting ---- */

static int say_hello(struct link_client *c)
{
    struct cbor_writer w;

    cbor_writer_init(&w, c->out, LINK_PACKET_MAX);
    packet_begin(&w, PACKET_HELLO, ++c->last_serial, 1);
    cbor_put_map(&w, 3);
    cbor_put_text(&w, "name");
    cbor_put_text(&w, c->name);
    cbor_put_text(&w, "abi");
    cbor_put_uint(&w, LINK_ABI);
    cbor_put_text(&w, "version");
    cbor_put_text_n(&w, c->version, MIN_OF(strlen(c->version), (size_t)DEVICE_ID_MAX));
    return client_send(c, &w);
}

/* Waits for a place among those that the agent has yet to accept. A connection that is only tried never gets one while
 * another user connects without end. */
static int connect_within(const struct sockaddr_un *address, uint64_t usec)
{
    const struct timeval wait = {.tv_sec = (time_t)(usec / USEC_PER_SEC)}, for_ever = {0};
    _cleanup_close_ int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait)) < 0 ||
        connect(fd, (const struct sockaddr *)address, sizeof(*address)) < 0 ||
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &for_ever, sizeof(for_ever)) < 0 || fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
        return -errno;
    return TAKE_FD(fd);
}

static int connect_line(struct link_client *c)
{
    struct line *l = calloc(1, sizeof(*l));
    int r;

    if (!l)
        return -ENOMEM;
    l->refs = 1;
    outbox_init(&l->out);
    TAILQ_INIT(&l->rests);
    c->line = l;
    l->fd = connect_within(&c->address, LINK_CONNECT_WAIT);
    if (l->fd < 0)
        return l->fd;
    r = sd_event_add_io(c->event, &l->io, l->fd, EPOLLIN, on_io, c);
    return r < 0 ? r : say_hello(c);
}

static int on_connect(sd_event_source *source, uint64_t usec, void *userdata)
{
    struct link_client *c = userdata;
    int r = connect_line(c);

    if (r >= 0)
        return 0;
    c->line = line_unref(c->line);
    reconnect_later(c);
    c->ops->connection(r, strerror(-r), c->userdata);
    return 0;
}

int link_client_new(sd_event *event, const struct link_client_options *options, const struct link_client_ops *ops,
                    void *userdata, struct link_client **ret, struct error *e)
{
    _cleanup_(link_client_freep) struct link_client *c = calloc(1, sizeof(*c));
    int n, r;

    if (!c)
        return -ENOMEM;
    TAILQ_INIT(&c->reports.flights);
    TAILQ_INIT(&c->told);
    c->event = sd_event_ref(event);
    c->ops = ops;
    c->userdata = userdata;
    c->backoff = LINK_RECONNECT_MIN;
    c->reports.report_max = LINK_REPORT_MAX;
    c->address.sun_family = AF_UNIX;
    n = snprintf(c->address.sun_path, sizeof(c->address.sun_path), "%s/%s", options->runtime_dir, LINK_SOCKET);
    if (n >= (int)sizeof(c->address.sun_path))
        return error_set(e, -ENAMETOOLONG,
                         "%s/%s: a socket's path has at most %zu characters; use a shorter --runtime-dir",
                         options->runtime_dir, LINK_SOCKET, sizeof(c->address.sun_path) - 1);
    c->name = strdup(options->name);
    c->version = strdup(options->version);
    c->in = malloc(LINK_PACKET_MAX);
    c->out = malloc(LINK_PACKET_MAX);
    if (!c->name || !c->version || !c->in || !c->out)
        return -ENOMEM;
    r = client_reports_init(c);
    if (r >= 0)
        r = sd_event_add_time(c->event, &c->timers.connect_timer, CLOCK_BOOTTIME, 0, USEC_PER_MSEC, on_connect, c);
    if (r < 0)
        return r;
    *ret = TAKE_PTR(c);
    return 0;
}

struct link_client *link_client_free(struct link_client *c)
{
    if (!c)
        return NULL;
    client_send_last(c);
    client_reports_reset(c);
    client_reports_done(c);
    incoming_reset(&c->set);
    incoming_reset(&c->check);
    if (c->line)
        line_close(c->line);
    line_unref(c->line);
    sd_event_source_disable_unref(c->timers.connect_timer);
    free(c->name);
    free(c->version);
    free(c->in);
    free(c->out);
    sd_event_unref(c->event);
    free(c);
    return NULL;
}
