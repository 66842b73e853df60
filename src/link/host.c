/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "link/host.h"

#include "base/clock.h"
#include "base/id.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/names.h"
#include "link/host-conn.h"

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

static struct account *free_account(struct link_host *h)
{
    struct account *best = NULL;

    for (size_t i = 0; i < LINK_ACCOUNTS_MAX; i++) {
        struct account *a = &h->accounts[i];

        if (!a->used)
            return a;
        if (a->n_conns == 0 && (!best || a->last < best->last))
            best = a;
    }
    return best;
}

struct account *host_account(struct link_host *h, uid_t uid, const char *name)
{
    struct account *a;

    for (size_t i = 0; i < LINK_ACCOUNTS_MAX; i++)
        if (h->accounts[i].used && h->accounts[i].uid == uid && strcmp(h->accounts[i].name, name) == 0)
            return &h->accounts[i];
    a = free_account(h);
    if (!a)
        return NULL;
    *a = (struct account){.uid = uid, .used = true};
    snprintf(a->name, sizeof(a->name), "%s", name);
    ratelimit_init(&a->connects, LINK_CONNECTS_INTERVAL, LINK_CONNECTS);
    ratelimit_init(&a->bytes, USEC_PER_SEC, LINK_BYTES_PER_SEC);
    ratelimit_init(&a->samples, USEC_PER_SEC, LINK_SAMPLES_PER_SEC);
    ratelimit_init(&a->states, LINK_ALL_STATES_INTERVAL, LINK_DEVICES_MAX);
    ratelimit_init(&a->complaints, LINK_COMPLAINTS_INTERVAL, LINK_COMPLAINTS);
    return a;
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

/* Of a uid that may not name itself: all is counted of it from now on. */
static int open_account(struct link_host *h, struct conn *c)
{
    c->account = host_account(h, c->uid, "");
    if (!c->account)
        return -EBUSY;
    c->account->n_conns++;
    c->account->last = clock_boottime();
    return ratelimit_take(&c->account->connects, c->account->last, 1) ? 0 : -EDQUOT;
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
    c->self_naming = ours;
    if (ours)
        r = conn_start(c);
    else
        r = open_account(h, c);
    if (r >= 0 && !ours)
        r = peer_names_find(h->names, peer.uid, on_name, c);
    if (r < 0) {
        host_stranger(h, "closed a connection of uid %u: %s", (unsigned)peer.uid,
                      r == -EDQUOT ? "it connects too often" : strerror(-r));
        conn_close(c, NULL);
    }
    return 0;
}

static int pause_accepting(struct link_host *h, uint64_t until)
{
    int r = sd_event_source_set_enabled(h->listen_source, SD_EVENT_OFF);

    if (r >= 0)
        r = sd_event_source_set_time(h->pause_timer, until);
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
    uint64_t now = clock_boottime();

    for (unsigned i = 0; i < LINK_ACCEPTS_PER_TURN; i++) {
        int fd, r;

        if (ratelimit_next(&h->accepts, now, 1) > now)
            return pause_accepting(h, ratelimit_next(&h->accepts, now, LINK_ACCEPTS_PER_TURN));
        fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0 && (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED))
            return 0;
        if (fd < 0) {
            /* Out of descriptors or memory: the connection stays in the backlog, so do not spin on it. */
            host_stranger(h, "cannot accept a connection: %s", strerror(errno));
            return pause_accepting(h, now + ACCEPT_PAUSE);
        }
        ratelimit_charge(&h->accepts, now, 1);
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
    h->fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (h->fd < 0)
        return error_errno(e, -errno, "cannot make a socket");
    /* The name that a killed agent has left behind; two agents at a time are told apart by the vault's lock. */
    if (unlink(h->path) < 0 && errno != ENOENT)
        return error_errno(e, -errno, "cannot replace %s", h->path);
    if (bind(h->fd, (struct sockaddr *)&address, sizeof(address)) < 0)
        return error_errno(e, -errno, "cannot listen at %s", h->path);
    /* Open to everybody: the uid of the peer is the gate, and a refusal has its reason logged. */
    if (chmod(h->path, 0666) < 0 || listen(h->fd, LINK_BACKLOG) < 0)
        return error_errno(e, -errno, "cannot listen at %s", h->path);
    r = sd_event_add_io(h->event, &h->listen_source, h->fd, EPOLLIN, on_connection, h);
    if (r >= 0)
        r = sd_event_add_time(h->event, &h->pause_timer, CLOCK_BOOTTIME, 0, 0, on_pause_over, h);
    if (r >= 0)
        r = sd_event_source_set_enabled(h->pause_timer, SD_EVENT_OFF);
    if (r >= 0)
        r = sd_event_add_time(h->event, &h->tell_timer, CLOCK_BOOTTIME, 0, 0, host_tell_states, h);
    if (r >= 0)
        r = sd_event_source_set_enabled(h->tell_timer, SD_EVENT_OFF);
    return r < 0 ? error_errno(e, r, "cannot watch %s", h->path) : 0;
}

static int allocate(struct link_host *h, const char *runtime_dir)
{
    h->in = malloc(LINK_PACKET_MAX);
    h->out = malloc(LINK_PACKET_MAX);
    h->packet.parts = calloc(LINK_REPORT_MAX, sizeof(*h->packet.parts));
    h->packet.samples = calloc(LINK_REPORT_MAX, sizeof(*h->packet.samples));
    h->answer.values = calloc(LINK_ANSWERS_MAX, sizeof(*h->answer.values));
    h->answer.complaints = calloc(LINK_ANSWERS_MAX, sizeof(*h->answer.complaints));
    if (asprintf(&h->path, "%s/%s", runtime_dir, LINK_SOCKET) < 0)
        h->path = NULL;
    return h->in && h->out && h->packet.parts && h->packet.samples && h->answer.values && h->answer.complaints &&
                   h->path
               ? 0
               : -ENOMEM;
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
    ratelimit_init(&h->complaints, LINK_COMPLAINTS_INTERVAL, LINK_COMPLAINTS);
    ratelimit_init(&h->accepts, USEC_PER_SEC, LINK_ACCEPTS_PER_SEC);
    r = allocate(h, options->runtime_dir);
    if (r >= 0)
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

    if (!h)
        return NULL;
    h->ops = &silent;
    link_host_stop(h);
    host_drivers_done(h);
    sd_event_source_disable_unref(h->tell_timer);
    if (h->fd >= 0) {
        safe_close(h->fd);
        (void)unlink(h->path);
    }
    peer_names_free(h->names);
    free(h->path);
    free(h->in);
    free(h->out);
    free(h->packet.parts);
    free(h->packet.samples);
    free(h->answer.values);
    free(h->answer.complaints);
    sd_event_unref(h->event);
    free(h);
    return NULL;
}
