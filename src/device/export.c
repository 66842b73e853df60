/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Export: the main keys of many devices, in the words of a broker or a cloud, into somebody's file or pipe. The loop
 * opens keys into a page of locked memory, a worker writes it: a reader that is slow or deaf holds up nobody else. */
#include "base/log.h"
#include "base/timers.h"
#include "base/worker.h"
#include "device/facts.h"
#include "device/fleet.h"
#include "device/internal.h"
#include "device/job.h"
#include "device/lifetime.h"
#include "device/summary.h"
#include "device/tasks.h"
#include "payload/profile.h"
#include "registrar/registrar.h"
#include "rotation/carrier.h"
#include "rotation/schedule.h"
#include "spool/spool.h"
#include "uplink/session.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define PAGE_SIZE_ (16 * LIST_LINE_MAX)

struct export
{
    struct fleet *fleet;
    enum list_format format;
    int fd;
    char *uplink;
    char after[DEVICE_ID_MAX + 1];
    char *page;
    size_t size;
    unsigned n;
    bool ended;
    struct error error;
    device_done done;
    void *userdata;
};

static struct export *export_free(struct export *x)
{
    if (!x)
        return NULL;
    safe_close(x->fd);
    list_memory_free(x->page, PAGE_SIZE_);
    free(x->uplink);
    free(x);
    return NULL;
}
DEFINE_FREEP(struct export, export_free)

static void finish(struct export *x, int r)
{
    struct fleet *f = x->fleet;

    f->tasks.export = NULL;
    if (r >= 0)
        log_notice(NULL, "exported: the keys of %u devices, for %s", x->n, list_format_to_string(x->format));
    else
        log_notice(NULL, "an export ended early, after the keys of up to %u devices: %s", x->n, x->error.text);
    x->done(r < 0 ? r : (int)x->n, &x->error, x->userdata);
    export_free(x);
}

/* The receiver may give it to the cloud; a credential there is ours then. */
static void note_offered(struct device *d)
{
    struct vault_change *change;

    if (!registration_pending(d) || vault_registration(device_entry(d)) != VAULT_REGISTRATION_WAITING)
        return;
    change = vault_change_new(d->fleet->vault, d->config->id, d->config->uplink);
    if (!change)
        return;
    vault_change_registration(change, VAULT_REGISTRATION_OFFERED);
    vault_commit(d->fleet->vault, change, NULL, NULL);
}

static int add_device(struct export *x, struct device *d)
{
    const struct vault_entry *entry = device_entry(d);
    const struct vault_credential *main = entry ? vault_credential(entry, VAULT_MAIN) : NULL;
    size_t n;
    int r;

    if (!main || !main->present || main->quarantined || (x->uplink && strcmp(d->config->uplink, x->uplink) != 0))
        return 0;
    r = list_write(x->fleet->vault, entry, VAULT_MAIN, x->format, d->config->hardware_id ?: d->config->id,
                   x->page + x->size, &n, &x->error);
    if (r < 0)
        return r;
    x->size += n;
    x->n++;
    note_offered(d);
    return 0;
}

/* As many devices as the page is sure to have room for. */
static int fill(struct export *x)
{
    struct device *d = fleet_next(x->fleet, *x->after ? x->after : NULL);
    int r = 0;

    for (size_t n = 0; r >= 0 && d && n < PROVISION_PER_TURN && x->size + LIST_LINE_MAX < PAGE_SIZE_; n++) {
        r = add_device(x, d);
        snprintf(x->after, sizeof(x->after), "%s", d->config->id);
        d = fleet_next(x->fleet, x->after);
    }
    x->ended = !d;
    return r;
}

/* A pipe that says it can be written takes PIPE_BUF bytes at once. */
static int run_write(void *userdata)
{
    struct export *x = userdata;

    for (size_t at = 0; at < x->size;) {
        struct pollfd p = {.fd = x->fd, .events = POLLOUT};
        int ready = poll(&p, 1, (int)(LIST_STALL_MAX / USEC_PER_MSEC));
        ssize_t k;

        if (ready < 0 && errno == EINTR)
            continue;
        if (ready == 0)
            return error_set(&x->error, -ETIMEDOUT, "nobody has read what was exported for %d s",
                             (int)(LIST_STALL_MAX / USEC_PER_SEC));
        if (ready < 0 || p.revents & (POLLERR | POLLNVAL))
            return error_set(&x->error, -EPIPE, "whom the keys were for has closed its end");
        k = write(x->fd, x->page + at, MIN_OF(x->size - at, (size_t)PIPE_BUF));
        if (k < 0 && errno != EINTR)
            return error_errno(&x->error, -errno, "cannot write what is exported");
        at += k > 0 ? (size_t)k : 0;
    }
    return 0;
}

static void write_page(struct export *x);

static void page_written(int r, void *userdata)
{
    struct export *x = userdata;

    x->size = 0;
    if (r >= 0 && x->fleet->stopping)
        r = error_set(&x->error, -ECANCELED, "the agent is stopping");
    if (r >= 0 && !x->ended) {
        write_page(x);
        return;
    }
    finish(x, r);
}

static void write_page(struct export *x)
{
    int r = fill(x);

    if (r >= 0)
        r = workers_submit(x->fleet->pools.bulk, run_write, page_written, x);
    if (r < 0)
        finish(x, *x->error.text ? r : error_errno(&x->error, r, "cannot export"));
}

static int check_descriptor(int fd, struct error *e)
{
    int flags = fcntl(fd, F_GETFL);
    struct stat st;

    if (flags < 0 || fstat(fd, &st) < 0)
        return error_errno(e, -errno, "cannot look at the descriptor");
    if ((flags & O_ACCMODE) == O_RDONLY || !(S_ISREG(st.st_mode) || S_ISFIFO(st.st_mode)))
        return error_set(e, -EINVAL, "keys are exported into a regular file, a memfd, or the write end of a pipe");
    return 0;
}

static int check_all(struct fleet *f, const char *uplink, struct error *e)
{
    if (uplink && !config_uplink(f->config, uplink))
        return error_set(e, -EINVAL, "there is no uplink '%s'", uplink);
    return f->tasks.export ? error_set(e, -EBUSY, "another export is under way") : 0;
}

int fleet_export(struct fleet *f, enum list_format format, int fd, const char *uplink, device_done done, void *userdata,
                 struct error *e)
{
    _cleanup_(export_freep) struct export *x = NULL;
    void *memory = NULL;
    int r = check_all(f, uplink, e);

    if (r >= 0)
        r = check_descriptor(fd, e);
    if (r < 0)
        return r;
    x = calloc(1, sizeof(*x));
    if (!x)
        return -ENOMEM;
    *x = (struct export){.fleet = f, .format = format, .done = done, .userdata = userdata};
    x->fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    r = x->fd < 0 ? -errno : list_memory_new(PAGE_SIZE_, &memory, e);
    if (r >= 0 && uplink && !(x->uplink = strdup(uplink)))
        r = -ENOMEM;
    x->page = memory;
    if (r < 0)
        return r;
    x->size = strlen(list_head(format));
    memcpy(x->page, list_head(format), x->size);
    f->tasks.export = x;
    write_page(TAKE_PTR(x));
    return 0;
}

/* Its worker has ended. */
void export_leave(struct fleet *f)
{
    struct export *x = f->tasks.export;

    f->tasks.export = NULL;
    if (!x)
        return;
    error_set(&x->error, -ECANCELED, "the agent is stopping");
    x->done(-ECANCELED, &x->error, x->userdata);
    export_free(x);
}
