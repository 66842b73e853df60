/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "device/tombstone.h"

#include "base/log.h"
#include "device/connection.h"
#include "device/internal.h"
#include "device/lifetime.h"
#include "device/login.h"
#include "uplink/session.h"

#include <string.h>

void device_settle(struct device *d)
{
    if (d->keys.pending || d->keys.mending)
        vault_flush(d->fleet->vault);
}

struct device *tombstone_find(struct fleet *f, const char *id, const char *uplink)
{
    struct device *d = f->index.tombstones;

    while (d && (strcmp(d->config->id, id) != 0 || (uplink && strcmp(d->config->uplink, uplink) != 0)))
        d = d->grave.next;
    return d;
}

static void exhume(struct device *d)
{
    struct device **link = &d->fleet->index.tombstones;

    while (*link != d)
        link = &(*link)->grave.next;
    *link = d->grave.next;
    device_free(d);
}

static int on_exhume(sd_event_source *source, void *userdata)
{
    exhume(userdata);
    return 0;
}

void fleet_tombstone_done(struct device *d, const char *how)
{
    log_notice(d->config->id, "%s", how);
    session_stop(d, UPLINK_BYE_FOR_GOOD);
    login_forget_of(d->fleet, d->config->id, d->config->uplink);
    if (!d->grave.exhume && sd_event_add_defer(d->fleet->event, &d->grave.exhume, on_exhume, d) < 0)
        log_error(d->config->id, "no memory to free it");
}

void fleet_exhume(struct fleet *f, const char *id, const char *uplink)
{
    struct device *d = tombstone_find(f, id, uplink);

    if (!d)
        return;
    device_settle(d);
    exhume(d);
}
