/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A new key that was offered and is not accepted: why, for whoever waits for it, whoever looks, and the journal. */
#include "base/limits.h"
#include "base/log.h"
#include "device/batch.h"
#include "device/internal.h"
#include "device/job.h"
#include "device/notify.h"
#include "device/rotate-words.h"
#include "rotation/carrier.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static bool is_new_key(const struct device *d)
{
    const struct rotation *m = rotation_carrier_machine(d->keys.rotation);

    return (m->d.state == ROTATION_OFFERED || m->d.state == ROTATION_PROBING) && m->change == ROTATION_CHANGE_NONE;
}

void rotate_vain_over(struct device *d)
{
    free(d->keys.vain.why);
    d->keys.vain.why = NULL;
    d->keys.vain.told = 0;
}

/* A line for each other reason, and not for ever: two may take turns as long as the rotation lasts. */
static void tell(struct device *d)
{
    if (d->keys.vain.told > ROTATION_VAIN_LINES)
        return;
    if (d->keys.vain.told++ == ROTATION_VAIN_LINES)
        log_notice(d->config->id,
                   "the new key is still not accepted, for reasons that change: `gatehousectl show %s` "
                   "has the present one",
                   d->config->id);
    else
        log_warning(d->config->id, "the new key is not accepted yet, and is tried again: %s", d->keys.vain.why);
}

void rotate_vain(struct device *d, int r)
{
    const char *why =
        d->connections.probing.why ?: (r == -EHOSTUNREACH ? "the server does not answer" : strerrordesc_np(-r));
    char *copy;

    if (!d->keys.rotation || !is_new_key(d) || r == -ECANCELED || r == -ESHUTDOWN)
        return;
    if (d->keys.vain.why && strcmp(d->keys.vain.why, why) == 0)
        return;
    copy = strdup(why);
    if (!copy)
        return;
    free(d->keys.vain.why);
    d->keys.vain.why = copy;
    tell(d);
    if (d->keys.job)
        job_waiting(d->keys.job, d->config->id, d->keys.vain.why);
    batch_waiting(d, d->keys.vain.why);
    device_changed(d);
}
