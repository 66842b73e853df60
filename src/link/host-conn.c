/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "link/host-conn.h"
#include "base/clock.h"
#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

static void drop_sources(struct conn *c)
{
    sd_event_source **sources[] = {&c->sources.io, &c->sources.hello_timer, &c->sources.resume_timer,
                                   &c->sources.held_timer, &c->sources.call_timer};

    for (size_t i = 0; i < ELEMENTSOF(sources); i++)
        *sources[i] = sd_event_source_disable_unref(*sources[i]);
}

void conn_close(struct conn *c, const char *reason)
{
    struct link_host *h = c->host;
    struct link_driver *d = c->driver;

    if (!h)
        return;
    if (!reason)
        reason = c->why;
    conn_ref(c);
    c->host = NULL;
    LIST_REMOVE(c, link);
    if (!d)
        h->n_strangers--;
    if (c->account)
        c->account->n_conns--;
    peer_names_cancel(h->names, c);
    if (d) {
        d->conn = d->conn == c ? NULL : d->conn;
        d->pins++;
    }
    conn_end_calls(c, h->ops->report ? -ENOTCONN : -ECANCELED, reason ?: "the driver disconnected");
    conn_drop_held(c);
    drop_sources(c);
    outbox_done(&c->out);
    outbox_done(&c->behind);
    c->fd = safe_close(c->fd);
    conn_unref(c); /* the host's */
    if (d && !d->conn) {
        host_driver_reset(d);
        snprintf(d->last_error, sizeof(d->last_error), "%s", reason ?: "the driver disconnected");
        if (h->ops->driver_changed)
            h->ops->driver_changed(d, h->userdata);
    }
    if (d) {
        d->pins--;
        host_driver_forget(d);
    }
    conn_unref(c);
}

/* ---- In ---- */

/* Closes it for a rule that was broken: told the driver, and logged at a bounded rate. */
static void violated(struct conn *c, const char *words)
{
    struct link_host *h = c->host;
    char text[ERROR_TEXT_MAX];
    struct cbor_writer w;

    snprintf(text, sizeof(text), "connection closed: %s", words);
    host_clean(text);
    cbor_writer_init(&w, h->out, LINK_PACKET_MAX);
    packet_begin(&w, PACKET_BYE, 0, 1);
    cbor_put_text(&w, text);
    conn_send(c, &w);
    if (c->driver)
        c->driver->counts.refused++;
    if (c->account)
        log_limited(&c->account->complaints, LOG_WARNING, NULL, "driver %s: %s", c->name, text);
    else
        host_stranger(h, "%s", text);
    conn_close(c, text);
}

static void put_welcome(struct conn *c)
{
    static const struct {
        const char *name;
        uint64_t value;
    } limits[] = {
        {"samples-per-second", LINK_SAMPLES_PER_SEC},
        {"bytes-per-second", LINK_BYTES_PER_SEC},
        {"report-samples", LINK_REPORT_MAX},
        {"packet-bytes", LINK_PACKET_MAX},
        {"devices", LINK_DEVICES_MAX},
        {"connects-per-minute", LINK_CONNECTS},
    };
    struct cbor_writer w;

    cbor_writer_init(&w, c->host->out, LINK_PACKET_MAX);
    packet_begin(&w, PACKET_WELCOME, c->hello_serial, 1);
    cbor_put_map(&w, 2);
    cbor_put_text(&w, "credits");
    cbor_put_uint(&w, conn_credits(c));
    cbor_put_text(&w, "limits");
    cbor_put_map(&w, ELEMENTSOF(limits));
    for (size_t i = 0; i < ELEMENTSOF(limits); i++) {
        cbor_put_text(&w, limits[i].name);
        cbor_put_uint(&w, limits[i].value);
    }
    conn_send(c, &w);
}

/* Without credits the driver would have nothing to wait for: it is welcomed when there are some. */
static void welcome(struct conn *c)
{
    if (!conn_may_answer(c))
        return;
    c->welcomed = true;
    put_welcome(c);
    conn_send_devices(c);
}

static int on_held(sd_event_source *source, uint64_t usec, void *userdata)
{
    _cleanup_(conn_unrefp) struct conn *c = conn_ref(userdata);

    if (!c->welcomed)
        welcome(c);
    else
        conn_answer_held(c);
    return 0;
}

/* c becomes the connection of d. */
static void take_over(struct conn *c, struct link_driver *d, const struct packet *p)
{
    struct link_host *h = c->host;
    struct conn *before = d->conn;

    c->driver = d;
    d->conn = c; /* first: a driver without connection and devices is forgotten */
    h->n_strangers--;
    if (before)
        conn_close(before, "another connection of the same driver took its place");
    (void)sd_event_source_set_enabled(c->sources.hello_timer, SD_EVENT_OFF);
    snprintf(d->version, sizeof(d->version), "%s", p->text);
    host_clean(d->version);
    d->counts.connections++;
    d->last_error[0] = 0; /* of the connection before */
    host_driver_reset(d);
    c->hello_serial = p->serial;
    welcome(c);
    if (h->ops->driver_changed)
        h->ops->driver_changed(d, h->userdata);
}

static void on_hello(struct conn *c, const struct packet *p)
{
    struct link_host *h = c->host;
    struct link_driver *d;

    if (!c->account) {
        snprintf(c->name, sizeof(c->name), "%s", p->device);
        c->account = host_account(h, c->uid, p->device);
        if (!c->account) {
            violated(c, "too many drivers have been here");
            return;
        }
        c->account->n_conns++;
        c->account->last = clock_boottime();
        if (!ratelimit_take(&c->account->connects, c->account->last, 1)) {
            violated(c, "it connects too often");
            return;
        }
    }
    d = host_driver_get(h, p->device);
    if (!d)
        violated(c, "there are too many drivers already");
    else
        take_over(c, d, p);
}

/* A packet that breaks the rules is never handed on; its strings live until the next one is read. */
static void on_packet(struct conn *c, size_t n, int flags)
{
    struct link_host *h = c->host;
    struct error e = {""};

    if (flags & (MSG_TRUNC | MSG_CTRUNC)) {
        violated(c, flags & MSG_TRUNC ? "a packet that is too large" : "a descriptor that nobody asked for");
        return;
    }
    if (dialog_receive(&c->dialog, h->in, n, &h->packet, &h->answer, &e) < 0)
        violated(c, e.text);
    else if (h->packet.kind == PACKET_HELLO)
        on_hello(c, &h->packet);
    else if (h->packet.kind == PACKET_REPORT)
        conn_report(c, &h->packet);
    else if (h->packet.kind == PACKET_STATE)
        host_driver_state(c->driver, &h->packet);
    else if (h->packet.kind == PACKET_KEEP)
        host_driver_keep(c->driver, &h->packet);
    else
        conn_answer(c, &h->answer);
}

/* Until the rate allows a whole packet more. */
static bool must_rest(struct conn *c)
{
    uint64_t now = clock_boottime(), when;

    if (!c->account)
        return false;
    when = ratelimit_next(&c->account->bytes, now, LINK_PACKET_MAX);
    if (when <= now)
        return false;
    (void)sd_event_source_set_time(c->sources.resume_timer, when);
    (void)sd_event_source_set_enabled(c->sources.resume_timer, SD_EVENT_ONESHOT);
    return true;
}

/* A packet; without room for descriptors the kernel takes back those that come. 0: nothing more, or its end. */
static bool read_one(struct conn *c)
{
    struct iovec iov = {c->host->in, LINK_PACKET_MAX};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
    ssize_t n = recvmsg(c->fd, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return false;
    /* It closed without having read all: said once, before what it still had to say. */
    if (n < 0 && errno == ECONNRESET && !c->deaf) {
        conn_go_deaf(c);
        return true;
    }
    if (n <= 0) {
        conn_close(c, NULL);
        return false;
    }
    if (c->account)
        ratelimit_charge(&c->account->bytes, clock_boottime(), (uint64_t)MAX_OF(n, (ssize_t)LINK_PACKET_CHARGED));
    on_packet(c, (size_t)n, m.msg_flags);
    if (c->host && c->why)
        conn_close(c, NULL);
    return true;
}

static void read_more(struct conn *c)
{
    size_t samples = 0;

    for (unsigned i = 0; i < LINK_PACKETS_PER_TURN && samples < LINK_REPORT_MAX; i++) {
        if (c->out.bytes > LINK_OUT_UNREAD || must_rest(c) || !read_one(c) || !c->host)
            return;
        samples += c->host->packet.n_samples;
    }
}

static int on_io(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
    _cleanup_(conn_unrefp) struct conn *c = conn_ref(userdata);

    if (events & EPOLLOUT)
        conn_write_more(c);
    if (events & ~(uint32_t)EPOLLOUT)
        read_more(c);
    if (c->host)
        conn_watch(c);
    return 0;
}

static int on_resume(sd_event_source *source, uint64_t usec, void *userdata)
{
    conn_watch(userdata);
    return 0;
}

static int on_hello_timeout(sd_event_source *source, uint64_t usec, void *userdata)
{
    struct conn *c = userdata;

    host_stranger(c->host, "closed a connection that did not say hello within %u s",
                  (unsigned)(LINK_HELLO_TIMEOUT / USEC_PER_SEC));
    conn_close(c, NULL);
    return 0;
}

int conn_start(struct conn *c)
{
    dialog_init(&c->dialog, c->self_naming ? NULL : c->name);
    return sd_event_source_set_enabled(c->sources.io, SD_EVENT_ON);
}

static int add_timer(struct conn *c, sd_event_source **ret, sd_event_time_handler_t handler)
{
    int r = sd_event_add_time(c->host->event, ret, CLOCK_BOOTTIME, 0, USEC_PER_MSEC, handler, c);

    return r < 0 ? r : sd_event_source_set_enabled(*ret, SD_EVENT_OFF);
}

static int add_sources(struct conn *c, int fd)
{
    int r = sd_event_add_io(c->host->event, &c->sources.io, fd, EPOLLIN, on_io, c);

    if (r >= 0)
        r = sd_event_source_set_enabled(c->sources.io, SD_EVENT_OFF);
    if (r >= 0)
        r = add_timer(c, &c->sources.resume_timer, on_resume);
    if (r >= 0)
        r = add_timer(c, &c->sources.held_timer, on_held);
    if (r >= 0)
        r = add_timer(c, &c->sources.call_timer, conn_calls_overdue);
    if (r >= 0)
        r = add_timer(c, &c->sources.hello_timer, on_hello_timeout);
    if (r >= 0)
        r = sd_event_source_set_time(c->sources.hello_timer, clock_boottime() + LINK_HELLO_TIMEOUT);
    return r < 0 ? r : sd_event_source_set_enabled(c->sources.hello_timer, SD_EVENT_ONESHOT);
}

int conn_new(struct link_host *h, int fd, struct conn **ret)
{
    struct conn *c = calloc(1, sizeof(*c));
    int r;

    if (!c)
        return -ENOMEM;
    c->refs = 1;
    c->host = h;
    TAILQ_INIT(&c->held);
    outbox_init(&c->out);
    outbox_init(&c->behind);
    dialog_init(&c->dialog, NULL);
    r = add_sources(c, fd);
    if (r < 0) {
        drop_sources(c);
        conn_unref(c);
        return r;
    }
    c->fd = fd;
    LIST_INSERT_HEAD(&h->conns, c, link);
    h->n_strangers++;
    *ret = c;
    return 0;
}
