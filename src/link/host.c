/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "link/host.h"

#include "base/clock.h"
#include "base/id.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/names.h"
#include "link/host-internal.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#define ACCEPT_PAUSE USEC_PER_SEC

void host_stranger(struct link_host *h, const char *format, ...)
{
    char text[ERROR_TEXT_MAX];
    va_list ap;

    va_start(ap, format);
    vsnprintf(text, sizeof(text), format, ap);
    va_end(ap);
    log_limited(&h->complaints, LOG_WARNING, NULL, "%s: %s", h->path, text);
}

struct link_driver *link_host_find_driver(struct link_host *h, const char *name)
{
    struct link_driver *d;

    TAILQ_FOREACH(d, &h->drivers, link)
    if (strcmp(d->name, name) == 0)
        return d;
    return NULL;
}

struct link_driver *host_driver_get(struct link_host *h, const char *name)
{
    struct link_driver *d = link_host_find_driver(h, name), *other;
    size_t n = 0;

    if (d)
        return d;
    TAILQ_FOREACH(other, &h->drivers, link)
    n++;
    if (n == LINK_DRIVERS_MAX)
        return NULL;
    d = calloc(1, sizeof(*d));
    if (!d)
        return NULL;
    d->host = h;
    snprintf(d->name, sizeof(d->name), "%s", name);
    ratelimit_init(&d->samples, USEC_PER_SEC, LINK_SAMPLES_PER_SEC);
    ratelimit_init(&d->complaints, 30 * USEC_PER_SEC, 5);
    TAILQ_INSERT_TAIL(&h->drivers, d, link);
    return d;
}

static int compare_devices(const void *a, const void *b)
{
    return strcmp(((const struct host_device *)a)->id, ((const struct host_device *)b)->id);
}

struct host_device *host_device_find(struct link_driver *d, const char *id)
{
    struct host_device key = {.id = (char *)id};

    if (d->n_devices == 0)
        return NULL;
    return bsearch(&key, d->devices, d->n_devices, sizeof(*d->devices), compare_devices);
}

static struct host_device *devices_free(struct host_device *devices, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        free(devices[i].id);
        free(devices[i].section);
        free(devices[i].points);
        free(devices[i].reason);
    }
    free(devices);
    return NULL;
}

/* What a device that stays as it is said last is not asked again. */
static void keep_states(struct link_driver *d, struct host_device *devices, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct host_device *old = host_device_find(d, devices[i].id);

        if (!old || strcmp(old->section, devices[i].section) != 0 || strcmp(old->points, devices[i].points) != 0)
            continue;
        devices[i].state = old->state;
        devices[i].reason = TAKE_PTR(old->reason);
    }
}

static int copy_devices(const struct link_device *from, size_t n, struct host_device **ret)
{
    struct host_device *devices = calloc(n + 1, sizeof(*devices));
    int r = devices ? 0 : -ENOMEM;

    for (size_t i = 0; i < n && r == 0; i++) {
        if (!id_valid(from[i].id))
            r = -EINVAL;
        else if (!(devices[i].id = strdup(from[i].id)) || !(devices[i].section = strdup(from[i].section)) ||
                 !(devices[i].points = strdup(from[i].points)))
            r = -ENOMEM;
    }
    if (r == 0)
        qsort(devices, n, sizeof(*devices), compare_devices);
    for (size_t i = 1; i < n && r == 0; i++)
        if (strcmp(devices[i - 1].id, devices[i].id) == 0)
            r = -EINVAL;
    if (r < 0) {
        if (devices)
            devices_free(devices, n);
        return r;
    }
    *ret = devices;
    return 0;
}

void host_driver_forget(struct link_driver *d)
{
    if (d->conn || d->n_devices > 0)
        return;
    TAILQ_REMOVE(&d->host->drivers, d, link);
    devices_free(d->devices, d->n_devices);
    free(d);
}

int link_host_set_devices(struct link_host *h, const char *driver, const struct link_device *devices, size_t n)
{
    struct host_device *copy;
    struct link_driver *d;
    int r;

    if (!id_valid(driver))
        return -EINVAL;
    if (n > LINK_DEVICES_MAX)
        return -E2BIG;
    if (n == 0 && !link_host_find_driver(h, driver))
        return 0;
    r = copy_devices(devices, n, &copy);
    if (r < 0)
        return r;
    d = host_driver_get(h, driver);
    if (!d) {
        devices_free(copy, n);
        return -ENOMEM;
    }
    keep_states(d, copy, n);
    devices_free(d->devices, d->n_devices);
    d->devices = copy;
    d->n_devices = n;
    if (d->conn)
        return conn_send_devices(d->conn);
    host_driver_forget(d);
    return 0;
}

static void on_name(const char *name, void *userdata)
{
    struct conn *c = userdata;
    struct link_host *h = c->host;
    int r;

    if (!name) {
        host_stranger(h, "closed a connection of a user that is no driver's");
        conn_close(c, NULL);
        return;
    }
    snprintf(c->name, sizeof(c->name), "%s", name);
    r = conn_start(c);
    if (r < 0) {
        host_stranger(h, "could not serve the driver %s: %s", name, strerror(-r));
        conn_close(c, NULL);
    }
}

/* One user's connections that say nothing may not keep the other drivers out. */
static size_t strangers_of(const struct link_host *h, uid_t uid)
{
    const struct conn *c;
    size_t n = 0;

    LIST_FOREACH (c, &h->conns, link)
        n += !c->driver && c->uid == uid;
    return n;
}

/* Finds out who it is; until then nothing of it is read. */
static int receive(struct link_host *h, int fd)
{
    struct ucred peer;
    struct conn *c;
    socklen_t size = sizeof(peer);
    bool ours;
    int r;

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
        return -errno;
    ours = h->self_naming && peer.uid == geteuid();
    if (h->n_strangers == LINK_STRANGERS_MAX || (!ours && strangers_of(h, peer.uid) == LINK_STRANGERS_UID_MAX))
        return -EBUSY;
    r = conn_new(h, fd, &c);
    if (r < 0)
        return r;
    c->uid = peer.uid;
    if (ours) {
        c->self_naming = true;
        r = conn_start(c);
    } else
        r = peer_names_find(h->names, peer.uid, on_name, c);
    if (r < 0) {
        host_stranger(h, "closed a connection of uid %u: %s", (unsigned)peer.uid, strerror(-r));
        conn_close(c, NULL);
    }
    return 0;
}

static int pause_accepting(struct link_host *h)
{
    int r = sd_event_source_set_enabled(h->listen_source, SD_EVENT_OFF);

    if (r >= 0)
        r = sd_event_source_set_time(h->pause_timer, clock_boottime() + ACCEPT_PAUSE);
    return r < 0 ? r : sd_event_source_set_enabled(h->pause_timer, SD_EVENT_ONESHOT);
}

static int on_pause_over(sd_event_source *source, uint64_t usec, void *userdata)
{
    struct link_host *h = userdata;

    return sd_event_source_set_enabled(h->listen_source, SD_EVENT_ON);
}

static int on_connection(sd_event_source *source, int listen_fd, uint32_t events, void *userdata)
{
    struct link_host *h = userdata;

    for (unsigned i = 0; i < LINK_ACCEPTS_PER_TURN; i++) {
        int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK), r;

        if (fd < 0 && (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED))
            return 0;
        if (fd < 0) {
            /* Out of descriptors or memory: the connection stays in the backlog, so do not spin on it. */
            host_stranger(h, "cannot accept a connection: %s", strerror(errno));
            return pause_accepting(h);
        }
        r = receive(h, fd);
        if (r < 0) {
            host_stranger(h, "closed a connection: %s", strerror(-r));
            safe_close(fd);
        }
    }
    return 0;
}

static int listen_at(struct link_host *h, struct error *e)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int r;

    if (strlen(h->path) >= sizeof(address.sun_path))
        return error_set(e, -ENAMETOOLONG,
                         "%s: a socket's path has at most %zu characters; use a shorter --runtime-dir", h->path,
                         sizeof(address.sun_path) - 1);
    memcpy(address.sun_path, h->path, strlen(h->path));
    h->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (h->fd < 0)
        return error_errno(e, -errno, "cannot make a socket");
    /* The name that a killed agent has left behind; two agents at a time are told apart by the vault's lock. */
    if (unlink(h->path) < 0 && errno != ENOENT)
        return error_errno(e, -errno, "cannot replace %s", h->path);
    if (bind(h->fd, (struct sockaddr *)&address, sizeof(address)) < 0)
        return error_errno(e, -errno, "cannot listen at %s", h->path);
    /* Open to everybody: the uid of the peer is the gate, and a refusal has its reason logged. */
    if (chmod(h->path, 0666) < 0 || listen(h->fd, SOMAXCONN) < 0)
        return error_errno(e, -errno, "cannot listen at %s", h->path);
    r = sd_event_add_io(h->event, &h->listen_source, h->fd, EPOLLIN, on_connection, h);
    if (r >= 0)
        r = sd_event_add_time(h->event, &h->pause_timer, CLOCK_BOOTTIME, 0, 0, on_pause_over, h);
    if (r >= 0)
        r = sd_event_source_set_enabled(h->pause_timer, SD_EVENT_OFF);
    return r < 0 ? error_errno(e, r, "cannot watch %s", h->path) : 0;
}

int link_host_new(sd_event *event, struct workers *workers, const struct link_host_options *options,
                  const struct link_host_ops *ops, void *userdata, struct link_host **ret, struct error *e)
{
    _cleanup_(link_host_freep) struct link_host *h = calloc(1, sizeof(*h));
    int r;

    if (!h)
        return -ENOMEM;
    h->event = sd_event_ref(event);
    h->ops = ops;
    h->userdata = userdata;
    h->self_naming = options->self_naming;
    h->fd = -EBADF;
    TAILQ_INIT(&h->drivers);
    ratelimit_init(&h->complaints, 30 * USEC_PER_SEC, 5);
    h->samples = calloc(LINK_REPORT_MAX, sizeof(*h->samples));
    if (!h->samples)
        return -ENOMEM;
    if (asprintf(&h->path, "%s/%s", options->runtime_dir, LINK_SOCKET) < 0) {
        h->path = NULL;
        return -ENOMEM;
    }
    r = peer_names_new(workers, &h->names);
    if (r >= 0)
        r = listen_at(h, e);
    if (r < 0)
        return r;
    *ret = TAKE_PTR(h);
    return 0;
}

void link_host_stop(struct link_host *h)
{
    h->listen_source = sd_event_source_disable_unref(h->listen_source);
    h->pause_timer = sd_event_source_disable_unref(h->pause_timer);
    while (!LIST_EMPTY(&h->conns))
        conn_close(LIST_FIRST(&h->conns), NULL);
}

struct link_host *link_host_free(struct link_host *h)
{
    static const struct link_host_ops silent;
    struct link_driver *d;

    if (!h)
        return NULL;
    h->ops = &silent;
    while (!LIST_EMPTY(&h->conns))
        conn_close(LIST_FIRST(&h->conns), NULL);
    while ((d = TAILQ_FIRST(&h->drivers))) {
        TAILQ_REMOVE(&h->drivers, d, link);
        devices_free(d->devices, d->n_devices);
        free(d);
    }
    sd_event_source_disable_unref(h->listen_source);
    sd_event_source_disable_unref(h->pause_timer);
    if (h->fd >= 0) {
        safe_close(h->fd);
        (void)unlink(h->path);
    }
    peer_names_free(h->names);
    free(h->path);
    free(h->samples);
    sd_event_unref(h->event);
    free(h);
    return NULL;
}

struct link_driver *link_host_next_driver(struct link_host *h, struct link_driver *after)
{
    return after ? TAILQ_NEXT(after, link) : TAILQ_FIRST(&h->drivers);
}

const char *link_driver_name(const struct link_driver *d)
{
    return d->name;
}

const char *link_driver_version(const struct link_driver *d)
{
    return d->version;
}

bool link_driver_connected(const struct link_driver *d)
{
    return d->conn != NULL;
}

const char *link_driver_last_error(const struct link_driver *d)
{
    return d->last_error;
}

const struct link_driver_counts *link_driver_counts(const struct link_driver *d)
{
    return &d->counts;
}
