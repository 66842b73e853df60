/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "driver.h"

#include "base/log.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define BUS_KEY_MAX 512

static int compare_devices(const void *a, const void *b)
{
    return strcmp((*(struct gatehouse_device *const *)a)->id, (*(struct gatehouse_device *const *)b)->id);
}

struct gatehouse_device *driver_find(struct driver *d, const char *id)
{
    struct gatehouse_device key = {.id = (char *)id}, *p = &key, **found = NULL;

    if (d->n_devices > 0)
        found = bsearch(&p, d->devices, d->n_devices, sizeof(struct gatehouse_device *), compare_devices);
    return found ? *found : NULL;
}

static const char *state_name(enum gatehouse_state state)
{
    switch (state) {
    case GATEHOUSE_STATE_OK:
        return "ok";
    case GATEHOUSE_STATE_DEGRADED:
        return "degraded";
    case GATEHOUSE_STATE_FAILED:
        return "failed";
    }
    return "failed";
}

static void send_state(struct driver *d, const struct gatehouse_device *device)
{
    if (device->main.state_known)
        (void)link_client_device_state(d->client, device->id, state_name(device->main.state), device->main.reason);
}

void driver_set_state(struct driver *d, struct gatehouse_device *device, enum gatehouse_state state, const char *reason)
{
    char *copy;

    if (device->main.state_known && device->main.state == state && strcmp(device->main.reason, reason) == 0)
        return;
    copy = strndup(reason, ERROR_TEXT_MAX - 1);
    if (!copy)
        return;
    free(device->main.reason);
    device->main.reason = copy;
    device->main.state = state;
    device->main.state_known = true;
    send_state(d, device);
}

/* News that cannot be sent now is sent when the agent sends the devices, or with the next words. */
static void driver_keep(struct driver *d, struct gatehouse_device *device, const char *text)
{
    int r = link_client_keep(d->client, device->id, text);

    free(device->main.kept);
    device->main.kept = r < 0 ? strdup(text) : NULL;
}

int driver_lane(struct driver *d, const char *key, struct lane **ret)
{
    struct lane *l;
    int r;

    LIST_FOREACH (l, &d->lanes, link)
        if (l->refs > 0 && strcmp(l->key, key) == 0)
            break;
    if (!l) {
        r = lane_new(key, &d->plugin.p, &d->inbox, &l);
        if (r < 0)
            return r;
        LIST_INSERT_HEAD(&d->lanes, l, link);
    }
    l->refs++;
    *ret = l;
    return 0;
}

void driver_lane_unref(struct lane *l)
{
    if (--l->refs == 0)
        lane_post(l, TAKE_PTR(l->stop_job));
}

int driver_bus_key(struct driver *d, const char *section, const char *id, char *key, size_t size)
{
    char bus[BUS_KEY_MAX];
    int r;

    switch (d->plugin.p.thread_model) {
    case GATEHOUSE_THREADS_SERIAL:
        key[0] = 0;
        return 0;
    case GATEHOUSE_THREADS_PER_BUS:
        break;
    }
    if (!d->plugin.p.device_bus) {
        snprintf(key, size, "device %s", id);
        return 0;
    }
    r = d->plugin.p.device_bus(section, bus, sizeof(bus));
    if (r >= 0)
        snprintf(key, size, "bus %s", bus);
    return r;
}

static int open_device(struct driver *d, struct gatehouse_device *device, struct error *e)
{
    _cleanup_(job_freep) struct job *job = NULL;
    char key[BUS_KEY_MAX + 8];
    int r = calls_check(d, device->section, device->points, device->n_points, e);

    if (r < 0)
        return r;
    r = driver_bus_key(d, device->section, device->id, key, sizeof(key));
    if (r < 0)
        return error_errno(e, r, "the plugin cannot tell its bus");
    job = job_new(JOB_OPEN, device);
    device->main.close = job_new(JOB_CLOSE, device);
    r = job && device->main.close ? driver_lane(d, key, &device->lane) : -ENOMEM;
    if (r < 0)
        return error_errno(e, r, "cannot be given a thread");
    lane_post(device->lane, TAKE_PTR(job));
    return 0;
}

/* Makes the device and has it opened; one whose configuration is bad says so by its state. */
static struct gatehouse_device *begin_device(struct driver *d, const char *id, const char *section, const char *points)
{
    struct gatehouse_device *device = NULL;
    struct error e = {""};
    int r = device_new(id, section, points, &device, &e);

    if (!device) {
        log_error(id, "%s", strerror(-r));
        return NULL;
    }
    if (r >= 0)
        r = open_device(d, device, &e);
    if (r < 0) {
        log_error(id, "%s", e.text);
        driver_set_state(d, device, GATEHOUSE_STATE_FAILED, e.text);
    }
    return device;
}

static void remove_device(struct driver *d, struct gatehouse_device *device)
{
    size_t i = 0;

    while (d->devices[i] != device)
        i++;
    memmove(&d->devices[i], &d->devices[i + 1], (d->n_devices - i - 1) * sizeof(struct gatehouse_device *));
    d->n_devices--;
}

/* Nothing calls for it any more: it goes, or comes again with its new texts. */
static void device_ended(struct driver *d, struct gatehouse_device *device)
{
    struct gatehouse_device *again = NULL;

    if (device->main.wanted && !d->stopping)
        again = begin_device(d, device->id, device->main.next_section, device->main.next_points);
    if (again && again->lane && device->main.next_secret) {
        device->main.next_secret->device = again;
        again->main.secret = device->main.next_secret->secret;
        lane_post(again->lane, TAKE_PTR(device->main.next_secret));
    } else if (d->stopping)
        (void)link_client_device_state(d->client, device->id, "closed", "the driver stops");
    if (again)
        for (size_t i = 0; i < d->n_devices; i++)
            d->devices[i] = d->devices[i] == device ? again : d->devices[i];
    else
        remove_device(d, device);
    calls_go_on(d, device);
    /* After the new one has its own: a lane that both use goes on. */
    if (device->lane)
        driver_lane_unref(device->lane);
    device_free(device);
}

static void close_device(struct driver *d, struct gatehouse_device *device)
{
    if (device->main.closing)
        return;
    calls_cancel(device);
    if (!device->lane) {
        device_ended(d, device);
        return;
    }
    device->main.closing = true;
    lane_post(device->lane, TAKE_PTR(device->main.close));
}

static bool same_texts(const struct gatehouse_device *device, const struct link_device *to)
{
    return strcmp(device->section, to->section) == 0 && strcmp(device->points_text, to->points) == 0;
}

static void want_again(struct gatehouse_device *device, const struct link_device *to)
{
    free(device->main.next_section);
    free(device->main.next_points);
    device->main.next_section = strdup(to->section);
    device->main.next_points = strdup(to->points);
    device->main.wanted = device->main.next_section && device->main.next_points;
}

/* The device is to be like `to`; true if it is new, and to be added to the table as *ret. */
static bool apply(struct driver *d, const struct link_device *to, struct gatehouse_device **ret)
{
    struct gatehouse_device *device = driver_find(d, to->id);

    if (!device) {
        *ret = begin_device(d, to->id, to->section, to->points);
        return *ret != NULL;
    }
    if (!device->main.closing && same_texts(device, to)) {
        _cleanup_free_ char *kept = TAKE_PTR(device->main.kept);

        send_state(d, device);
        if (kept)
            driver_keep(d, device, kept);
        return false;
    }
    want_again(device, to);
    close_device(d, device);
    return false;
}

static int compare_links(const void *a, const void *b)
{
    return strcmp(((const struct link_device *)a)->id, ((const struct link_device *)b)->id);
}

/* Closes what the set no longer has. From the end, since a device may leave the table at once. */
static void close_missing(struct driver *d, const struct link_device *devices, size_t n)
{
    for (size_t i = d->n_devices; i-- > 0;) {
        struct gatehouse_device *device = d->devices[i];
        struct link_device key = {.id = device->id};

        if (n > 0 && bsearch(&key, devices, n, sizeof(*devices), compare_links))
            continue;
        device->main.wanted = false;
        close_device(d, device);
    }
}

void driver_on_set_devices(const struct link_device *devices, size_t n, void *userdata)
{
    _cleanup_free_ struct gatehouse_device **added = calloc(n + 1, sizeof(*added));
    _cleanup_free_ struct link_device *sorted = calloc(n + 1, sizeof(*sorted));
    struct gatehouse_device **table;
    struct driver *d = userdata;
    size_t n_added = 0;

    if (d->stopping)
        return;
    table = reallocarray(d->devices, d->n_devices + n + 1, sizeof(*table));
    if (table)
        d->devices = table;
    if (!table || !added || !sorted) {
        log_error(NULL, "out of memory for %zu devices", n);
        return;
    }
    if (n > 0) /* without devices there is no array */
        memcpy(sorted, devices, n * sizeof(*sorted));
    qsort(sorted, n, sizeof(*sorted), compare_links);
    close_missing(d, sorted, n);
    for (size_t i = 0; i < n; i++)
        if (apply(d, &sorted[i], &added[n_added]))
            n_added++;
    memcpy(d->devices + d->n_devices, added, n_added * sizeof(*added));
    d->n_devices += n_added;
    qsort(d->devices, d->n_devices, sizeof(*d->devices), compare_devices);
}

void driver_on_sample(struct queued *sample, void *userdata)
{
    struct driver *d = userdata;

    link_client_push(d->client, sample);
}

void driver_on_note(const struct note *note, void *userdata)
{
    struct driver *d = userdata;

    switch (note->kind) {
    case NOTE_STATE:
        driver_set_state(d, note->device, note->state, note->reason);
        break;
    case NOTE_KEEP:
        if (note->secret == note->device->main.secret)
            driver_keep(d, note->device, note->reason);
        break;
    case NOTE_JOB:
        calls_job_done(d, note->job, note->lane);
        break;
    case NOTE_CLOSED:
        device_ended(d, note->device);
        break;
    case NOTE_LANE_ENDED:
        LIST_REMOVE(note->lane, link);
        lane_free(note->lane);
        break;
    }
}

/* Each reason once: the agent may be away for long. */
void driver_on_connection(int r, const char *reason, void *userdata)
{
    struct driver *d = userdata;

    if (r >= 0)
        log_info(NULL, "connected to the agent");
    else if (d->was_connected || r != d->connect_error)
        log_notice(NULL, "%s: %s; trying again", d->was_connected ? "lost the agent" : "cannot reach the agent",
                   reason);
    d->was_connected = r >= 0;
    d->connect_error = r;
}

/* Said once when it begins, by a word of ours that leaves what the plugin itself said about the device alone. */
static void tell_late(struct driver *d, struct lane *l, const struct overdue *late)
{
    struct gatehouse_device *device = driver_find(d, late->device);
    char text[128];

    l->late = true;
    snprintf(text, sizeof(text), "the plugin's %s has not returned for %llu s", late->what,
             (unsigned long long)(late->after / USEC_PER_SEC));
    log_error(late->device[0] ? late->device : NULL, "%s", text);
    if (device)
        (void)link_client_device_state(d->client, device->id, "failed", text);
    snprintf(l->late_device, sizeof(l->late_device), "%s", late->device);
}

static void tell_recovered(struct driver *d, struct lane *l)
{
    struct gatehouse_device *device = driver_find(d, l->late_device);

    l->late = false;
    log_notice(l->late_device[0] ? l->late_device : NULL, "the plugin goes on");
    if (device)
        send_state(d, device);
}

bool driver_healthy(struct driver *d)
{
    bool healthy = true;
    struct lane *l;

    LIST_FOREACH (l, &d->lanes, link) {
        struct overdue late;
        bool is_late = lane_overdue(l, &late);

        if (is_late && !l->late)
            tell_late(d, l, &late);
        else if (!is_late && l->late)
            tell_recovered(d, l);
        healthy = healthy && !is_late;
    }
    return healthy;
}

void driver_tell_losses(struct driver *d)
{
    uint64_t lost = link_client_dropped(d->client) + link_client_refused(d->client);

    pthread_mutex_lock(&d->inbox.mutex);
    lost += d->inbox.dropped;
    pthread_mutex_unlock(&d->inbox.mutex);
    if (lost == d->lost_told)
        return;
    log_warning(NULL, "%llu samples lost because the agent did not take them (%llu in all)",
                (unsigned long long)(lost - d->lost_told), (unsigned long long)lost);
    d->lost_told = lost;
}

int driver_start(struct driver *d, const char *runtime_dir, struct error *e)
{
    const struct link_client_options options = {
        .runtime_dir = runtime_dir, .name = d->name, .version = d->plugin.p.version ?: GATEHOUSE_VERSION};

    return link_client_new(d->event, &options, &driver_client_ops, d, &d->client, e);
}

void driver_stop(struct driver *d)
{
    d->stopping = true;
    for (size_t i = d->n_devices; i-- > 0;) {
        d->devices[i]->main.wanted = false;
        close_device(d, d->devices[i]);
    }
}

bool driver_closed(const struct driver *d)
{
    return d->stopping && d->n_devices == 0 && LIST_EMPTY(&d->lanes);
}

bool driver_ended(const struct driver *d)
{
    return driver_closed(d) && link_client_handed_over(d->client);
}

void driver_done(struct driver *d)
{
    d->client = link_client_free(d->client);
    free(d->devices);
}
