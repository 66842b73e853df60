/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/clock.h"
#include "base/id.h"
#include "base/text.h"
#include "link/host-conn.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct link_driver *link_host_find_driver(struct link_host *h, const char *name)
{
    struct link_driver *d;

    TAILQ_FOREACH (d, &h->drivers, link)
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
    TAILQ_FOREACH (other, &h->drivers, link)
        n++;
    if (n == LINK_DRIVERS_MAX)
        return NULL;
    d = calloc(1, sizeof(*d));
    if (!d)
        return NULL;
    d->host = h;
    snprintf(d->name, sizeof(d->name), "%s", name);
    ratelimit_init(&d->journal, DRIVER_JOURNAL_INTERVAL, DRIVER_JOURNAL_LINES);
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

/* An unchanged device keeps its last state. The rate of its states outlasts any change. */
static void keep_states(struct link_driver *d, struct host_device *devices, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct host_device *old = host_device_find(d, devices[i].id);

        if (old)
            devices[i].telling = old->telling;
        else
            ratelimit_init(&devices[i].telling, LINK_STATES_INTERVAL, LINK_STATES);
        if (!old || strcmp(old->section, devices[i].section) != 0 || strcmp(old->points, devices[i].points) != 0)
            continue;
        devices[i].state = old->state;
        devices[i].reason = TAKE_PTR(old->reason);
        devices[i].untold = old->untold;
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
    if (d->conn || d->n_devices > 0 || d->pins > 0)
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
        conn_send_devices(d->conn);
    else
        host_driver_forget(d);
    return 0;
}

void host_drivers_done(struct link_host *h)
{
    struct link_driver *d;

    while ((d = TAILQ_FIRST(&h->drivers))) {
        d->devices = devices_free(d->devices, d->n_devices);
        d->n_devices = 0;
        host_driver_forget(d);
    }
}

void host_clean(char *text)
{
    text_trim(text);
    for (; *text; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            *text = ' ';
}

void host_driver_reset(struct link_driver *d)
{
    for (size_t i = 0; i < d->n_devices; i++) {
        d->devices[i].state = LINK_STATE_UNKNOWN;
        d->devices[i].untold = false;
    }
}

/* The table may have changed afterwards. */
static void tell(struct link_driver *d, struct host_device *device)
{
    device->untold = false;
    if (d->host->ops->device_state)
        d->host->ops->device_state(d, device->id, link_state_name(device->state), device->reason, d->host->userdata);
}

/* Each device may change now and then, and all of them together not all the time. */
static bool may_tell(struct link_driver *d, struct host_device *device, uint64_t now)
{
    struct ratelimit *all = &d->conn->account->states;

    if (ratelimit_next(&device->telling, now, 1) > now || ratelimit_next(all, now, 1) > now)
        return false;
    ratelimit_charge(&device->telling, now, 1);
    ratelimit_charge(all, now, 1);
    return true;
}

static void tell_later(struct link_host *h, uint64_t when)
{
    (void)sd_event_source_set_time(h->tell_timer, when);
    (void)sd_event_source_set_enabled(h->tell_timer, SD_EVENT_ONESHOT);
}

void host_driver_state(struct link_driver *d, const struct packet *p)
{
    struct host_device *device = host_device_find(d, p->device);
    uint64_t now = clock_boottime();
    char *reason;

    /* It may have been taken away while this was on its way. */
    if (!device) {
        d->counts.refused++;
        return;
    }
    reason = strdup(p->text);
    if (!reason)
        return;
    host_clean(reason);
    if (device->state == p->state && strcmp(device->reason ?: "", reason) == 0) {
        free(reason);
        return;
    }
    free(device->reason);
    device->reason = reason;
    device->state = p->state;
    if (may_tell(d, device, now)) {
        tell(d, device);
        return;
    }
    device->untold = true;
    if (sd_event_source_get_enabled(d->host->tell_timer, NULL) == 0)
        tell_later(d->host, now + LINK_STATES_CHECK);
}

void host_driver_keep(struct link_driver *d, const struct packet *p)
{
    if (!host_device_find(d, p->device))
        d->counts.refused++;
    else if (d->host->ops->keep)
        d->host->ops->keep(d, p->device, p->text, d->host->userdata);
}

/* Those of one driver that may speak again, at most *room. Whether others still wait. */
static bool tell_untold(struct link_driver *d, uint64_t now, size_t *room)
{
    bool waiting = false;

    for (size_t i = 0; i < d->n_devices; i++) {
        if (!d->devices[i].untold)
            continue;
        if (*room > 0 && d->conn && may_tell(d, &d->devices[i], now)) {
            (*room)--;
            tell(d, &d->devices[i]);
        } else
            waiting = true;
    }
    return waiting;
}

int host_tell_states(sd_event_source *source, uint64_t usec, void *userdata)
{
    size_t room = LINK_STATES_PER_TURN;
    struct link_host *h = userdata;
    bool waiting = false;
    struct link_driver *d;

    TAILQ_FOREACH (d, &h->drivers, link)
        waiting = tell_untold(d, clock_boottime(), &room) || waiting;
    if (waiting)
        tell_later(h, clock_boottime() + (room > 0 ? LINK_STATES_CHECK : 0));
    return 0;
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

struct ratelimit *link_driver_journal(struct link_driver *d)
{
    return &d->journal;
}

const char *link_driver_last_error(const struct link_driver *d)
{
    return d->last_error;
}

const struct link_driver_counts *link_driver_counts(const struct link_driver *d)
{
    return &d->counts;
}
