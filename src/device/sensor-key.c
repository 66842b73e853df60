/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "device/sensor-key.h"

#include "base/arm.h"
#include "base/clock.h"
#include "base/log.h"
#include "device/device.h"
#include "device/fleet.h"
#include "device/internal.h"
#include "device/kept.h"
#include "device/notify.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/queue.h>

/* State of a device that has, or had, such a key. */
struct sensor_key {
    TAILQ_ENTRY(sensor_key) by_due, by_dirty;
    struct device *device;
    bool due;    /* the driver is to get the key */
    bool queued; /* among the dirty */
    struct kept kept;
    struct vault_key_read *reading;
    device_done done; /* of the one that is being read */
    void *userdata;
};
TAILQ_HEAD(sensor_key_list, sensor_key);
LIST_HEAD(errand_list, errand);

struct sensor_keys {
    struct fleet *fleet;
    struct sensor_key_list due, dirty;
    struct errand_list acts; /* commits of what the operator did */
    unsigned in_flight, committing;
    bool failing; /* it has been said that words cannot be written */
    sd_event_source *send, *retry, *write;
};

/* A commit, or a key on its way; outlives the device. */
struct errand {
    LIST_ENTRY(errand) link;
    struct fleet *fleet;
    device_done done;
    void *userdata;
    uint32_t sending; /* of a key on its way */
    char id[DEVICE_ID_MAX + 1];
};

static struct errand *errand_new(struct fleet *f, const char *id, device_done done, void *userdata)
{
    struct errand *errand = calloc(1, sizeof(*errand));

    if (errand) {
        *errand = (struct errand){.fleet = f, .done = done, .userdata = userdata};
        snprintf(errand->id, sizeof(errand->id), "%s", id);
    }
    return errand;
}

static struct vault_entry *entry_of(struct fleet *f, const char *id)
{
    return vault_find(f->vault, id, VAULT_OF_SENSOR);
}

/* The device may be a new one, of the same id: what is under way is of the id. */
static struct sensor_key *get(struct device *d)
{
    const struct errand *act;

    if (d->sensor_key)
        return d->sensor_key;
    d->sensor_key = calloc(1, sizeof(*d->sensor_key));
    if (!d->sensor_key)
        return NULL;
    d->sensor_key->device = d;
    kept_init(&d->sensor_key->kept);
    LIST_FOREACH (act, &d->fleet->sensor_keys->acts, link)
        if (strcmp(act->id, d->config->id) == 0)
            kept_act(&d->sensor_key->kept);
    return d->sensor_key;
}

static void unqueue(struct sensor_keys *k, struct sensor_key *key)
{
    if (key->queued)
        TAILQ_REMOVE(&k->dirty, key, by_dirty);
    key->queued = false;
}

/* ── To the driver ── */

static void send_later(struct sensor_keys *k, struct sensor_key *key)
{
    if (!key->due)
        TAILQ_INSERT_TAIL(&k->due, key, by_due);
    key->due = true;
    (void)sd_event_source_set_enabled(k->send, SD_EVENT_ONESHOT);
}

static void no_use(const struct device *d)
{
    log_warning(d->config->id, "driver %s takes no bind keys: the key is of no use", d->config->driver);
}

static void sent(int r, const struct link_failure *failure, void *userdata)
{
    _cleanup_free_ struct errand *errand = userdata;
    struct sensor_keys *k = errand->fleet->sensor_keys;
    struct device *d;

    k->in_flight--;
    if (errand->fleet->stopping)
        return;
    d = fleet_find(errand->fleet, errand->id);
    if (r >= 0 && d && d->sensor_key)
        kept_taken(&d->sensor_key->kept, errand->sending);
    if (!TAILQ_EMPTY(&k->due))
        (void)sd_event_source_set_enabled(k->send, SD_EVENT_ONESHOT);
    /* It will be due again when the driver is there, or has the device. */
    if (r >= 0 || r == -ENOTCONN || r == -ENODEV || r == -ECANCELED || !d)
        return;
    if (r == -EOPNOTSUPP) {
        no_use(d);
        return;
    }
    log_warning(errand->id, "driver %s did not take its bind key: %s", d->config->driver, failure->text);
    if (r == -ETIMEDOUT && get(d))
        send_later(k, d->sensor_key);
}

/* Behind which there is nothing: the device has no key any more. */
static int empty_descriptor(void)
{
    _cleanup_close_ int fd = memfd_create("no-key", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    if (fd < 0 || fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) < 0)
        return -errno;
    return TAKE_FD(fd);
}

static int open_key(struct device *d, int *ret_fd, struct error *e)
{
    struct vault_entry *entry = entry_of(d->fleet, d->config->id);

    if (entry && vault_credential(entry, VAULT_MAIN)->present && !vault_credential(entry, VAULT_MAIN)->quarantined)
        return vault_key_export(d->fleet->vault, entry, VAULT_MAIN, VAULT_RAW, ret_fd, e);
    *ret_fd = empty_descriptor();
    return *ret_fd < 0 ? error_errno(e, *ret_fd, "cannot tell the driver that there is no key") : 0;
}

/* The remembered text: the latest of the driver's, or the vault's. */
static void remembered(struct device *d, char ret[LINK_KEPT_MAX])
{
    struct vault_entry *entry = entry_of(d->fleet, d->config->id);
    size_t n = 0;
    const void *blob = entry ? vault_rotation(entry, &n) : NULL;

    if (d->sensor_key && d->sensor_key->kept.text)
        snprintf(ret, LINK_KEPT_MAX, "%s", d->sensor_key->kept.text);
    else
        snprintf(ret, LINK_KEPT_MAX, "%.*s", (int)n, n > 0 ? (const char *)blob : "");
}

static int send_one(struct sensor_keys *k, struct device *d)
{
    struct errand *errand = errand_new(k->fleet, d->config->id, NULL, NULL);
    _cleanup_close_ int fd = -EBADF;
    char kept[LINK_KEPT_MAX];
    struct error e = {0};
    int r = errand ? open_key(d, &fd, &e) : -ENOMEM;

    if (r >= 0) {
        remembered(d, kept);
        errand->sending = d->sensor_key ? kept_sending(&d->sensor_key->kept) : 0;
        r = link_host_secret(k->fleet->link, d->config->driver, d->config->id, fd, kept, sent, errand);
    } else {
        log_warning(d->config->id, "its bind key cannot be handed to the driver: %s", e.text);
    }
    if (r == -EOPNOTSUPP)
        no_use(d);
    if (r < 0)
        free(errand);
    else
        k->in_flight++;
    return r;
}

/* A few at a time: each is a descriptor, and a question that the driver has to answer. */
static int on_send(sd_event_source *source, void *userdata)
{
    struct sensor_keys *k = userdata;
    struct sensor_key *key;

    while (k->in_flight < SECRETS_IN_FLIGHT && (key = TAILQ_FIRST(&k->due))) {
        int r;

        TAILQ_REMOVE(&k->due, key, by_due);
        key->due = false;
        r = send_one(k, key->device);
        if (r != -EBUSY && r != -ENOBUFS && r != -ENOMEM)
            continue;
        TAILQ_INSERT_HEAD(&k->due, key, by_due);
        key->due = true;
        timer_rearm(k->retry, clock_boottime() + SECRET_RETRY);
        break;
    }
    return 0;
}

static int on_retry(sd_event_source *source, uint64_t usec, void *userdata)
{
    struct sensor_keys *k = userdata;

    return sd_event_source_set_enabled(k->send, SD_EVENT_ONESHOT);
}

void sensor_key_due(struct device *d)
{
    if (!d->tombstone && entry_of(d->fleet, d->config->id) && get(d))
        send_later(d->fleet->sensor_keys, d->sensor_key);
}

/* ── What the driver wants remembered ── */

static void write_later(struct sensor_keys *k, struct sensor_key *key)
{
    uint64_t last = key->kept.written, when = last > 0 ? last + KEPT_WRITE_INTERVAL : clock_boottime();

    if (!key->queued)
        TAILQ_INSERT_TAIL(&k->dirty, key, by_dirty);
    key->queued = true;
    timer_rearm(k->write, MIN_OF(when, timer_armed(k->write)));
}

static void written(int r, const struct error *e, void *userdata)
{
    _cleanup_free_ struct errand *errand = userdata;
    struct sensor_keys *k = errand->fleet->sensor_keys;
    struct device *d = fleet_find(errand->fleet, errand->id);

    k->committing--;
    if (r < 0 && !k->failing)
        log_warning(errand->id, "what its sensor has counted cannot be written: %s", e->text);
    k->failing = r < 0;
    if (r < 0 && d && d->sensor_key && entry_of(errand->fleet, errand->id) && kept_unwritten(&d->sensor_key->kept))
        write_later(k, d->sensor_key);
}

static void write_kept(struct sensor_keys *k, struct sensor_key *key, uint64_t now)
{
    struct vault_entry *entry = entry_of(k->fleet, key->device->config->id);
    struct errand *errand = entry ? errand_new(k->fleet, key->device->config->id, NULL, NULL) : NULL;
    struct vault_change *c =
        errand ? vault_change_new(k->fleet->vault, key->device->config->id, VAULT_OF_SENSOR) : NULL;

    unqueue(k, key);
    kept_write(&key->kept, now);
    if (!c) {
        free(errand);
        return;
    }
    vault_change_rotation(c, key->kept.text, strlen(key->kept.text));
    if (vault_commit(k->fleet->vault, c, written, errand) < 0)
        free(errand);
    else
        k->committing++;
}

/* At most a write a minute and device: a card wears out, and a message a second counts on. */
static int on_write(sd_event_source *source, uint64_t usec, void *userdata)
{
    struct sensor_keys *k = userdata;
    uint64_t now = clock_boottime();
    struct sensor_key *key, *next;
    unsigned n = 0;

    for (key = TAILQ_FIRST(&k->dirty); key && n < KEPT_PER_TURN; key = next) {
        next = TAILQ_NEXT(key, by_dirty);
        if (!kept_may_write(&key->kept, now, KEPT_WRITE_INTERVAL))
            continue;
        write_kept(k, key, now);
        n++;
    }
    if (TAILQ_EMPTY(&k->dirty))
        return 0;
    timer_rearm(source, now + (n == KEPT_PER_TURN ? USEC_PER_MSEC : USEC_PER_SEC));
    return 0;
}

void sensor_key_keep(struct device *d, const char *text)
{
    /* Without a key there is nothing to count. */
    if (entry_of(d->fleet, d->config->id) && get(d) && kept_say(&d->sensor_key->kept, text) > 0)
        write_later(d->fleet->sensor_keys, d->sensor_key);
}

void sensor_keys_flush(struct sensor_keys *k)
{
    uint64_t now = clock_boottime();

    for (struct sensor_key *key = TAILQ_FIRST(&k->dirty), *next; key; key = next) {
        next = TAILQ_NEXT(key, by_dirty);
        if (kept_may_write(&key->kept, now, 0))
            write_kept(k, key, now);
    }
}

/* ── What the operator does ── */

/* The vault has it, or has it no longer: the driver is told. */
static void committed(int r, const struct error *e, void *userdata)
{
    _cleanup_free_ struct errand *errand = userdata;
    struct device *d = fleet_find(errand->fleet, errand->id);

    LIST_REMOVE(errand, link);
    errand->fleet->sensor_keys->committing--;
    if (d && d->sensor_key)
        kept_acted(&d->sensor_key->kept, r >= 0);
    if (r >= 0 && d && get(d)) {
        unqueue(errand->fleet->sensor_keys, d->sensor_key);
        send_later(errand->fleet->sensor_keys, d->sensor_key);
        device_changed(d);
    }
    if (errand->done)
        errand->done(r, e, errand->userdata);
}

static int commit(struct device *d, struct vault_change *change, device_done done, void *userdata)
{
    struct errand *errand = errand_new(d->fleet, d->config->id, done, userdata);
    int r = errand ? vault_commit(d->fleet->vault, change, committed, errand) : -ENOMEM;

    if (!errand)
        vault_change_free(change);
    else if (r < 0)
        free(errand);
    else {
        d->fleet->sensor_keys->committing++;
        if (get(d))
            kept_act(&d->sensor_key->kept);
        LIST_INSERT_HEAD(&d->fleet->sensor_keys->acts, errand, link);
    }
    return r;
}

static int put(struct device *d, const struct secret *key, device_done done, void *userdata, struct error *e)
{
    struct vault_entry *entry = entry_of(d->fleet, d->config->id);
    char identity[IDENTITY_MAX + 1];
    struct vault_change *c;
    int r;

    if (key->size != SENSOR_KEY_SIZE)
        return error_set(e, -EINVAL,
                         "a bind key has %d bytes, which are %d hex digits; this has %zu. Keys of 12 bytes, of sensors "
                         "that speak MiBeacon before version 4, are not supported",
                         SENSOR_KEY_SIZE, 2 * SENSOR_KEY_SIZE, key->size);
    c = vault_change_new(d->fleet->vault, d->config->id, VAULT_OF_SENSOR);
    if (!c)
        return -ENOMEM;
    if (entry && vault_quarantine(entry))
        vault_change_reset(c);
    snprintf(identity, sizeof(identity), "%s/%s", VAULT_OF_SENSOR, d->config->id);
    r = vault_change_put(c, VAULT_MAIN, identity, VAULT_BIND, key, 0, e);
    if (r >= 0)
        r = vault_change_rotation(c, NULL, 0); /* another key, or the same one counted anew */
    if (r < 0) {
        vault_change_free(c);
        return r;
    }
    r = commit(d, c, done, userdata);
    return r < 0 ? error_errno(e, r, "cannot put the bind key into the vault") : 0;
}

static void on_key(int r, struct secret *read, const struct error *e, void *userdata)
{
    _cleanup_(secret_freep) struct secret *key = read;
    struct sensor_key *own = userdata;
    device_done done = own->done;
    void *context = own->userdata;
    struct error error = {0};

    own->reading = NULL;
    own->done = NULL;
    if (r >= 0)
        r = put(own->device, key, done, context, &error);
    else if (r == -EINVAL)
        error_set(&error, r,
                  "%s; a bind key has %d bytes, which are %d hex digits (those of 12 bytes are not supported)", e->text,
                  SENSOR_KEY_SIZE, 2 * SENSOR_KEY_SIZE);
    else
        error = *e;
    if (r < 0)
        done(r, &error, context);
}

int device_set_sensor_key(struct device *d, int fd, enum vault_encoding encoding, device_done done, void *userdata,
                          struct error *e)
{
    struct sensor_key *key = get(d);
    int r;

    if (!key)
        return -ENOMEM;
    if (key->done)
        return error_set(e, -EBUSY, "%s: another bind key is being read", d->config->id);
    key->done = done;
    key->userdata = userdata;
    r = vault_key_read(d->fleet->arena, d->fleet->event, fd, encoding, on_key, key, &key->reading, e);
    if (r < 0)
        key->done = NULL;
    return r;
}

static struct vault_change *change_of(struct device *d, int *ret, struct error *e)
{
    struct vault_change *c;

    *ret = 0;
    if (!entry_of(d->fleet, d->config->id)) {
        *ret = error_set(e, -ENOKEY, "%s has no bind key", d->config->id);
        return NULL;
    }
    c = vault_change_new(d->fleet->vault, d->config->id, VAULT_OF_SENSOR);
    if (!c)
        *ret = -ENOMEM;
    return c;
}

int device_forget_sensor_key(struct device *d, device_done done, void *userdata, struct error *e)
{
    int r;
    struct vault_change *c = change_of(d, &r, e);

    if (!c)
        return r;
    vault_change_remove(c);
    return commit(d, c, done, userdata);
}

int device_reset_counter(struct device *d, device_done done, void *userdata, struct error *e)
{
    int r;
    struct vault_change *c = change_of(d, &r, e);

    if (!c)
        return r;
    vault_change_rotation(c, NULL, 0);
    return commit(d, c, done, userdata);
}

void sensor_key_forget_of(struct fleet *f, const char *id)
{
    struct vault_change *c = entry_of(f, id) ? vault_change_new(f->vault, id, VAULT_OF_SENSOR) : NULL;
    struct device *d = fleet_find(f, id);

    if (!c)
        return;
    if (d && get(d)) /* for good: a note that is written behind this would make the entry anew */
        kept_act(&d->sensor_key->kept);
    vault_change_remove(c);
    if (vault_commit(f->vault, c, NULL, NULL) < 0)
        log_warning(id, "its bind key is still in the vault: out of memory");
}

const char *sensor_key_fingerprint(const struct device *d)
{
    struct vault_entry *entry = entry_of(d->fleet, d->config->id);

    return entry && vault_credential(entry, VAULT_MAIN)->present ? vault_credential(entry, VAULT_MAIN)->fingerprint
                                                                 : "";
}

/* ── Life ── */

void sensor_key_done(struct device *d)
{
    struct sensor_key *key = d->sensor_key;

    if (!key)
        return;
    if (key->due)
        TAILQ_REMOVE(&d->fleet->sensor_keys->due, key, by_due);
    if (kept_may_write(&key->kept, clock_boottime(), 0))
        write_kept(d->fleet->sensor_keys, key, clock_boottime());
    unqueue(d->fleet->sensor_keys, key);
    vault_key_read_free(key->reading);
    if (key->done)
        key->done(-ECANCELED, &(struct error){"the device is gone"}, key->userdata);
    kept_done(&key->kept);
    free(key);
    d->sensor_key = NULL;
}

int sensor_keys_new(struct fleet *f, struct sensor_keys **ret)
{
    struct sensor_keys *k = calloc(1, sizeof(*k));
    int r;

    if (!k)
        return -ENOMEM;
    k->fleet = f;
    TAILQ_INIT(&k->due);
    TAILQ_INIT(&k->dirty);
    LIST_INIT(&k->acts);
    *ret = k;
    r = sd_event_add_defer(f->event, &k->send, on_send, k);
    if (r >= 0)
        r = sd_event_source_set_enabled(k->send, SD_EVENT_OFF);
    if (r >= 0)
        r = timer_make(f->event, &k->retry, USEC_PER_MSEC, on_retry, k);
    return r < 0 ? r : timer_make(f->event, &k->write, 100 * USEC_PER_MSEC, on_write, k);
}

struct sensor_keys *sensor_keys_free(struct sensor_keys *k)
{
    if (!k)
        return NULL;
    if (k->committing > 0) /* they look at the fleet when they end */
        (void)vault_flush(k->fleet->vault);
    sd_event_source_disable_unref(k->send);
    sd_event_source_disable_unref(k->retry);
    sd_event_source_disable_unref(k->write);
    free(k);
    return NULL;
}
