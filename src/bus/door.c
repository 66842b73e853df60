/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus/door.h"

#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/names.h"
#include "bus/address.h"
#include "bus/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define FDS_MAX 253 /* SCM_MAX_FD */
#define PASSED_AT_ONCE (64 * 1024)

struct door {
    struct bus *bus;
    const struct door_ops *ops;
    int fd;   /* to the bus; sd-bus writes to a copy of it */
    int pair; /* sd-bus reads at the other end; -EBADF: the bus is gone, and sd-bus has been told so by that */
    struct gate *gate;
    const struct letter *current;
    sd_event_source *io, *turn, *timer, *rest;
    uint64_t root_at;    /* when root's last call came */
    uint64_t crowded_at; /* when the bus took no more last */
    uint64_t wakes_from; /* the millisecond in which were ... */
    unsigned wakes;      /* ... so many */
};

uint64_t door_processor(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * USEC_PER_SEC + (uint64_t)t.tv_nsec / 1000;
}

/* ── What waits to be taken ── */

static bool waits(const struct bus *b, int bytes, uint64_t messages)
{
    uint64_t n = 0;
    int queued = 0;

    return sd_bus_get_n_queued_write(b->connection, &n) < 0 || n > messages ||
           (b->door && ioctl(b->door->fd, SIOCOUTQ, &queued) >= 0 && queued > bytes);
}

bool door_has_room(const struct bus *b)
{
    return !waits(b, BUS_OUT_MAX, 0);
}

bool door_full(const struct bus *b)
{
    return waits(b, BUS_OUT_FULL, BUS_QUEUED_MAX);
}

/* ── Inwards ── */

/* sd-bus sees the end of the stream, and says so to everybody. */
static void hang_up(struct door *d, const char *why)
{
    log_debug(NULL, "the connection to the system bus has ended: %s", why);
    sd_event_source_set_enabled(d->io, SD_EVENT_OFF);
    sd_event_source_set_enabled(d->turn, SD_EVENT_OFF);
    sd_event_source_set_enabled(d->timer, SD_EVENT_OFF);
    sd_event_source_set_enabled(d->rest, SD_EVENT_OFF);
    d->pair = safe_close(d->pair);
}

static ssize_t pass_some(struct door *d, const struct letter *l, size_t at)
{
    union {
        struct cmsghdr header;
        uint8_t space[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct iovec iov = {(uint8_t *)l->data + at, MIN_OF(l->size - at, (size_t)PASSED_AT_ONCE)};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};

    if (at == 0 && l->fd >= 0) {
        m.msg_control = &control;
        m.msg_controllen = sizeof(control);
        control.header =
            (struct cmsghdr){.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int))};
        memcpy(CMSG_DATA(&control.header), &l->fd, sizeof(int));
    }
    return sendmsg(d->pair, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void process(struct bus *b)
{
    while (sd_bus_process(b->connection, NULL) > 0)
        ;
}

static int pass_on(struct door *d, const struct letter *l)
{
    size_t at = 0;

    while (at < l->size) {
        ssize_t n = pass_some(d, l, at);

        if (n < 0 && errno != EAGAIN)
            return -errno;
        if (n < 0 && sd_bus_process(d->bus->connection, NULL) <= 0)
            return -EPROTO; /* it does not read */
        at += n > 0 ? (size_t)n : 0;
    }
    process(d->bus);
    return 0;
}

static int carry_out(struct door *d, const struct letter *l)
{
    uint64_t begun = door_processor();
    int r;

    d->current = l;
    r = pass_on(d, l);
    d->current = NULL;
    if (l->user && l->user->unbounded)
        d->root_at = clock_boottime();
    if (l->user)
        callers_spent(d->bus->callers, l->user, door_processor() - begun, clock_boottime());
    return r;
}

static enum gate_room look_for_room(struct door *d)
{
    uint64_t now = clock_boottime();

    if (!door_has_room(d->bus)) {
        d->crowded_at = now;
        return GATE_ROOM_NONE;
    }
    return now < d->crowded_at + BUS_CALM ? GATE_ROOM_SMALL : GATE_ROOM_ANY;
}

static void wait_for_more(struct door *d, enum gate_room room)
{
    uint64_t now = clock_boottime(), due = gate_due(d->gate, now);

    if (due == USEC_INFINITY) {
        sd_event_source_set_enabled(d->timer, SD_EVENT_OFF);
        return;
    }
    sd_event_source_set_time(d->timer, MAX_OF(due, now + (room == GATE_ROOM_ANY ? USEC_PER_MSEC : BUS_OUT_LOOK)));
    sd_event_source_set_enabled(d->timer, SD_EVENT_ONESHOT);
}

static void hand_on(struct door *d)
{
    uint64_t begun = door_processor();

    while (d->pair >= 0) {
        enum gate_room room = look_for_room(d);
        _cleanup_(letter_freep) struct letter *l = gate_next(d->gate, room, clock_boottime());
        int r;

        if (!l) {
            wait_for_more(d, room);
            return;
        }
        r = carry_out(d, l);
        if (r < 0) {
            hang_up(d, strerrordesc_np(-r));
        } else if (door_processor() - begun > BUS_TURN) {
            sd_event_source_set_enabled(d->turn, SD_EVENT_ONESHOT);
            return;
        }
    }
}

static int on_turn(sd_event_source *source, void *userdata)
{
    hand_on(userdata);
    return 0;
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
    hand_on(userdata);
    return 0;
}

/* The descriptors that came with a part of the stream. */
static size_t take_fds(struct msghdr *m, int fds[FDS_MAX])
{
    size_t n = 0;

    for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
        size_t k = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS || k > FDS_MAX - n)
            continue;
        memcpy(fds + n, CMSG_DATA(c), k * sizeof(int));
        n += k;
    }
    return n;
}

/* 1: there may be more. */
static int read_some(struct door *d)
{
    union {
        struct cmsghdr header;
        uint8_t space[CMSG_SPACE(FDS_MAX * sizeof(int))];
    } control;
    struct msghdr m = {.msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
    int fds[FDS_MAX];
    struct iovec iov;
    size_t n_fds;
    ssize_t n;

    iov.iov_base = gate_room(d->gate, &iov.iov_len);
    if (!iov.iov_base)
        return -ENOMEM;
    m.msg_iov = &iov;
    n = recvmsg(d->fd, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (n <= 0)
        return n == 0 ? -ECONNRESET : errno == EAGAIN || errno == EINTR ? 0 : -errno;
    n_fds = take_fds(&m, fds);
    if (m.msg_flags & MSG_CTRUNC) {
        for (size_t i = 0; i < n_fds; i++)
            safe_close(fds[i]);
        return -EMFILE; /* whose they were cannot be told any more */
    }
    n = gate_received(d->gate, (size_t)n, fds, n_fds, clock_boottime());
    return n < 0 ? (int)n : 1;
}

/* A flood of small messages would be a turn of the loop each. */
static void rest(struct door *d)
{
    uint64_t now = clock_boottime();

    if (now >= d->wakes_from + USEC_PER_MSEC) {
        d->wakes_from = now;
        d->wakes = 0;
    }
    if (++d->wakes <= BUS_WAKES || now < d->root_at + BUS_ROOT_ACTIVE)
        return;
    sd_event_source_set_enabled(d->io, SD_EVENT_OFF);
    sd_event_source_set_time(d->rest, now + BUS_REST);
    sd_event_source_set_enabled(d->rest, SD_EVENT_ONESHOT);
}

static int on_rested(sd_event_source *source, uint64_t usec, void *userdata)
{
    struct door *d = userdata;

    return sd_event_source_set_enabled(d->io, SD_EVENT_ON);
}

static int on_io(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
    struct door *d = userdata;
    int r = 1;

    for (int i = 0; r > 0 && i < BUS_READS_PER_TURN; i++)
        r = read_some(d);
    hand_on(d);
    if (r < 0)
        hang_up(d, strerrordesc_np(-r));
    else
        rest(d);
    return 0;
}

/* ── What the gate wants ── */

static bool large(const char *path, const char *member, void *userdata)
{
    return ((struct door *)userdata)->ops->cost(((struct door *)userdata)->bus, path, member) > BUS_ANSWER_LARGE;
}

static int ask(const char *name, uint32_t *ret_serial, void *userdata)
{
    struct door *d = userdata;
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
    uint64_t serial = 0;
    int r = sd_bus_message_new_method_call(d->bus->connection, &m, "org.freedesktop.DBus", "/org/freedesktop/DBus",
                                           "org.freedesktop.DBus", "GetConnectionUnixUser");

    if (r >= 0)
        r = sd_bus_message_append(m, "s", name);
    if (r >= 0)
        r = sd_bus_send(d->bus->connection, m, &serial);
    *ret_serial = (uint32_t)serial;
    return r;
}

int door_believe(struct bus *b, const char *name)
{
    struct caller *one = callers_get(b->callers, name);
    uint32_t serial;
    int r = one ? 0 : -ENOMEM;

    if (one && !one->user && !one->question) {
        r = ask(name, &serial, b->door);
        if (r >= 0)
            r = callers_asked(b->callers, one, serial);
    }
    if (r >= 0)
        one->believed = true;
    return r;
}

int door_ping(struct bus *b, struct caller *one, enum caller_ping which)
{
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
    uint64_t serial = 0;
    int r;

    if (one->pings[which])
        return 1;
    r = sd_bus_message_new_method_call(b->connection, &m, one->name, BUS_PATH_MANAGER, "org.freedesktop.DBus.Peer",
                                       "Ping");
    if (r >= 0)
        r = sd_bus_send(b->connection, m, &serial);
    if (r >= 0)
        one->pings[which] = (uint32_t)serial;
    return r < 0 ? r : 0;
}

static void on_pong(struct caller *one, enum caller_ping which, void *userdata)
{
    struct door *d = userdata;

    if (which == CALLER_PING_SAMPLES)
        d->ops->ponged(d->bus, one->name);
    else
        callers_ponged(one);
}

static void on_gone(struct caller *one, void *userdata)
{
    struct door *d = userdata;

    d->ops->gone(d->bus, one->name);
}

enum letter_fate door_fate(const struct bus *b)
{
    return b->door->current ? b->door->current->fate : LETTER_PASS;
}

void door_run(struct bus *b, struct caller_user *u)
{
    uint64_t begun = door_processor();

    process(b);
    callers_spent(b->callers, u, door_processor() - begun, clock_boottime());
}

void door_wake(struct bus *b)
{
    if (b->door && b->door->pair >= 0)
        sd_event_source_set_enabled(b->door->turn, SD_EVENT_ONESHOT);
}

/* ── Opening ── */

static int connect_socket(void)
{
    _cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    struct sockaddr_un address;
    socklen_t size;
    int r;

    if (fd < 0)
        return -errno;
    r = address_parse(secure_getenv("DBUS_SYSTEM_BUS_ADDRESS"), &address, &size);
    if (r >= 0)
        r = connect(fd, (struct sockaddr *)&address, size) < 0 ? -errno : 0;
    return r < 0 ? r : TAKE_FD(fd);
}

/* sd-bus gets an end of a pair to read at, and a copy of the socket to write to. */
static int start(struct door *d, sd_bus **ret)
{
    _cleanup_(sd_bus_unrefp) sd_bus *connection = NULL;
    _cleanup_close_ int out = fcntl(d->fd, F_DUPFD_CLOEXEC, 3), in = -EBADF;
    int pair[2], r;

    if (out < 0 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
        return -errno;
    d->pair = pair[0];
    in = pair[1];
    r = sd_bus_new(&connection);
    if (r >= 0)
        r = sd_bus_set_bus_client(connection, true);
    if (r >= 0)
        r = sd_bus_set_fd(connection, in, out);
    if (r < 0)
        return r;
    TAKE_FD(in);
    TAKE_FD(out);
    r = sd_bus_start(connection);
    if (r < 0)
        return r;
    *ret = TAKE_PTR(connection);
    return 0;
}

static int attach(struct door *d)
{
    sd_event *event = d->bus->event;
    int r = sd_event_add_io(event, &d->io, d->fd, EPOLLIN, on_io, d);

    if (r >= 0)
        r = sd_event_add_defer(event, &d->turn, on_turn, d);
    if (r >= 0) /* behind everything else that is ready */
        r = sd_event_source_set_priority(d->turn, SD_EVENT_PRIORITY_NORMAL + 1);
    if (r >= 0)
        r = sd_event_source_set_enabled(d->turn, SD_EVENT_OFF);
    if (r >= 0)
        r = sd_event_add_time(event, &d->timer, CLOCK_BOOTTIME, USEC_INFINITY, USEC_PER_MSEC, on_timer, d);
    if (r >= 0)
        r = sd_event_source_set_enabled(d->timer, SD_EVENT_OFF);
    if (r >= 0)
        r = sd_event_add_time(event, &d->rest, CLOCK_BOOTTIME, USEC_INFINITY, USEC_PER_MSEC, on_rested, d);
    return r < 0 ? r : sd_event_source_set_enabled(d->rest, SD_EVENT_OFF);
}

int door_open(struct bus *b, const struct door_ops *ops)
{
    struct door *d = calloc(1, sizeof(*d));
    int r;

    if (!d)
        return -ENOMEM;
    *d = (struct door){.bus = b, .ops = ops, .fd = connect_socket(), .pair = -EBADF};
    b->door = d;
    if (d->fd < 0)
        return d->fd;
    b->callers = callers_new();
    d->gate = b->callers ? gate_new(b->callers, &(struct gate_ops){large, ask, on_pong, on_gone, d}) : NULL;
    if (!d->gate)
        return -ENOMEM;
    r = start(d, &b->connection);
    return r < 0 ? r : attach(d);
}

void door_close(struct bus *b)
{
    struct door *d = TAKE_PTR(b->door);

    b->connection = sd_bus_close_unref(b->connection);
    if (d) {
        sd_event_source_disable_unref(d->io);
        sd_event_source_disable_unref(d->turn);
        sd_event_source_disable_unref(d->timer);
        sd_event_source_disable_unref(d->rest);
        gate_free(d->gate);
        safe_close(d->pair);
        safe_close(d->fd);
        free(d);
    }
    b->callers = callers_free(b->callers);
}
