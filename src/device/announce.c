/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the profile wants said after each connection, before any sample: that the device is there, and what its points
 * are. One message after the other. */
#include "base/log.h"
#include "base/strbuf.h"
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
    delivery_kick(d);
}

void announce_begin(struct device *d)
{
    announce_end(d);
    if (d->tombstone || d->uplink->profile->n_announcements == 0)
        return;
    d->announcing = calloc(1, sizeof(*d->announcing));
    if (d->announcing)
        next(d);
}

void announce_end(struct device *d)
{
    if (!d->announcing)
        return;
    uplink_call_cancel(d->announcing->call);
    free(d->announcing);
    d->announcing = NULL;
}

static int make_client_id(const struct device *d, const struct profile_names *names, char **ret)
{
    const struct {
        const char *word, *text;
    } words[] = {{"{device}", names->device}, {"{opaque}", names->opaque}, {"{hardware_id}", names->hardware_id}};
    const char *p = d->uplink->settings->client_id;
    struct strbuf b = {0};

    while (*p) {
        size_t i = 0;

        while (i < ELEMENTSOF(words) && strncmp(p, words[i].word, strlen(words[i].word)) != 0)
            i++;
        if (i < ELEMENTSOF(words)) {
            strbuf_puts(&b, words[i].text);
            p += strlen(words[i].word);
        } else {
            strbuf_add(&b, p++, 1);
        }
    }
    return strbuf_take(&b, ret);
}

int announce_introduce(void *userdata, struct uplink_introduction *ret)
{
    struct device *d = userdata;
    struct profile_message m = {0};
    struct device_names names;
    int r = device_names(d, &names);

    if (r < 0)
        return r;
    r = make_client_id(d, &names.profile, &ret->client_id);
    if (r < 0)
        return r;
    r = profile_will(d->uplink->profile, &names.profile, &m);
    if (r <= 0)
        return r;
    ret->will_topic = TAKE_PTR(m.target);
    ret->will_payload = TAKE_PTR(m.body);
    ret->will_size = m.size;
    ret->will_retain = m.retain;
    profile_message_done(&m);
    return 0;
}
