/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A connection as a line: counted, and what goes out over it, the set of devices included. */
#include "base/limits.h"
#include "link/host-conn.h"

#include <sys/epoll.h>
#include <sys/socket.h>

struct conn *conn_ref(struct conn *c)
{
    c->refs++;
    return c;
}

struct conn *conn_unref(struct conn *c)
{
    if (c && --c->refs == 0)
        free(c);
    return NULL;
}

void conn_watch(struct conn *c)
{
    bool resting = sd_event_source_get_enabled(c->sources.resume_timer, NULL) > 0;
    uint32_t events = 0;

    if (!resting && c->out.bytes <= LINK_OUT_UNREAD)
        events |= EPOLLIN;
    if (!outbox_empty(&c->out) || c->set.phase != SET_DONE)
        events |= EPOLLOUT;
    if (events)
        (void)sd_event_source_set_io_events(c->sources.io, events);
    (void)sd_event_source_set_enabled(c->sources.io, events ? SD_EVENT_ON : SD_EVENT_OFF);
}

void conn_go_deaf(struct conn *c)
{
    c->deaf = true;
    c->set.phase = SET_DONE;
    outbox_done(&c->out);
    outbox_done(&c->behind);
}

void conn_give_up(struct conn *c, const char *reason)
{
    c->why = reason;
    (void)shutdown(c->fd, SHUT_RDWR);
    conn_go_deaf(c);
    conn_watch(c);
}

/* The driver would wait for ever for what could not be sent. */
static void check_sent(struct conn *c, int r)
{
    if (r < 0)
        conn_give_up(c, NULL);
}

void conn_send(struct conn *c, const struct cbor_writer *w)
{
    if (c->deaf)
        return;
    check_sent(c, w->full ? -E2BIG : outbox_send(&c->out, c->fd, w->start, cbor_written(w), -EBADF));
    conn_watch(c);
}

bool conn_has_room(const struct conn *c, size_t bytes)
{
    size_t queued = c->out.bytes + c->behind.bytes;

    return queued == 0 || queued + bytes <= LINK_OUT_MAX;
}

int conn_request(struct conn *c, const struct cbor_writer *w, int passed)
{
    size_t n = cbor_written(w);

    if (w->full)
        return -E2BIG;
    if (c->deaf || !c->welcomed)
        return -ENOTCONN;
    if (c->set.phase != SET_DONE)
        return outbox_append(&c->behind, w->start, n, passed);
    check_sent(c, outbox_send(&c->out, c->fd, w->start, n, passed));
    conn_watch(c);
    return 0;
}

static void write_set(struct conn *c, struct cbor_writer *w)
{
    struct link_driver *d = c->driver;
    struct host_device *device;
    struct link_device view;

    switch (c->set.phase) {
    case SET_BEGIN:
        packet_begin(w, PACKET_BEGIN, 0, 0);
        c->set.phase = d->n_devices > 0 ? SET_DEVICES : SET_END;
        break;
    case SET_DEVICES:
        device = &d->devices[c->set.next];
        view = (struct link_device){device->id, device->section, device->points};
        if (packet_put_texts(w, PACKET_DEVICE, 0, &view, &c->set.at))
            break;
        c->set.at = 0;
        if (++c->set.next == d->n_devices)
            c->set.phase = SET_END;
        break;
    case SET_END:
        packet_begin(w, PACKET_END, 0, 0);
        c->set.phase = SET_DONE;
        break;
    case SET_DONE:
        break;
    }
}

void conn_write_more(struct conn *c)
{
    check_sent(c, outbox_flush(&c->out, c->fd));
    for (unsigned i = 0; i < LINK_PACKETS_PER_TURN && c->welcomed && c->set.phase != SET_DONE && outbox_empty(&c->out);
         i++) {
        struct cbor_writer w;

        cbor_writer_init(&w, c->host->out, LINK_PACKET_MAX);
        write_set(c, &w);
        conn_send(c, &w);
    }
    if (c->set.phase == SET_DONE)
        outbox_move(&c->out, &c->behind);
}

void conn_send_devices(struct conn *c)
{
    c->set.phase = c->deaf ? SET_DONE : SET_BEGIN;
    c->set.next = c->set.at = 0;
    if (c->welcomed)
        conn_watch(c);
}
