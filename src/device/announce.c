/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the profile wants said after each connection, before any sample: that the device is there, and what its points
 * are. One message after the other. */
#include "base/log.h"
#include "device/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct announcing {
    size_t i, point; /* what comes next */
    struct uplink_call *call;
    bool refused; /* has been said */
};

static void next(struct device *d);

static void on_announced(int r, const struct uplink_response *response, void *userdata)
{
    struct device *d = userdata;
    struct announcing *a = d->announcing;
    char code[CODE_TEXT_MAX];

    a->call = NULL;
    if (r == -ECANCELED)
        return;
    if (!a->refused && (r < 0 || profile_verdict(d->uplink->profile, response->code) != PROFILE_ACCEPTED)) {
        if (r < 0)
            log_warning(d->config->id, "cannot be announced: %s", strerrordesc_np(-r));
        else {
            message_code_text(d->uplink->profile, response->code, code);
            log_warning(d->config->id, "the cloud does not take what announces it (%s)", code);
        }
        a->refused = true;
    }
    next(d);
}

/* The next one that there is: 1 and *ret, 0 at the end. */
static int make_next(struct device *d, const struct profile_names *names, struct profile_message *ret)
{
    const struct profile *p = d->uplink->profile;
    struct announcing *a = d->announcing;

    while (a->i < p->n_announcements) {
        bool of_device = p->announcements[a->i].each == PROFILE_EACH_DEVICE;
        size_t n = of_device ? 1 : d->config->n_points;
        struct profile_point point = {0};
        int r;

        if (a->point >= n) {
            a->i++;
            a->point = 0;
            continue;
        }
        if (!of_device) {
            const struct config_point *c = &d->config->points[a->point];

            point = (struct profile_point){
                .name = c->name, .unit = c->unit ?: "", .writable = c->writable, .min = c->min, .max = c->max};
        }
        a->point++;
        r = profile_announce(p, a->i, names, of_device ? NULL : &point, ret);
        if (r != 0)
            return r;
    }
    return 0;
}

static void next(struct device *d)
{
    _cleanup_(profile_message_done) struct profile_message m = {0};
    struct device_names names;
    int r = device_names(d, &names);

    if (r >= 0)
        r = make_next(d, &names.profile, &m);
    if (r > 0)
        r = message_send(d->session, &m, on_announced, d, &d->announcing->call) ?: 1;
    if (r < 0)
        log_warning(d->config->id, "cannot be announced: %s", strerrordesc_np(-r));
    if (r > 0)
        return;
    announce_end(d);
    availability_online(d);
    delivery_kick(d);
}

void announce_begin(struct device *d)
{
    announce_end(d);
    if (d->tombstone)
        return;
    if (d->uplink->profile->n_announcements > 0)
        d->announcing = calloc(1, sizeof(*d->announcing));
    if (d->announcing)
        next(d);
    else
        availability_online(d);
}

void announce_end(struct device *d)
{
    if (!d->announcing)
        return;
    uplink_call_cancel(d->announcing->call);
    free(d->announcing);
    d->announcing = NULL;
}
