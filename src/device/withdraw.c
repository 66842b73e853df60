/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Takes back the messages that a broker retains of removed devices: over the device's own session, since hardly anybody
 * else may publish there. For a device that is gone a session is made with the credential left in the vault; it ends
 * when nothing is retained any more. */
#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/names.h"
#include "config/client-id.h"
#include "device/announce.h"
#include "device/announced-file.h"
#include "device/announced.h"
#include "device/facts.h"
#include "device/fleet.h"
#include "device/internal.h"
#include "device/message.h"
#include "device/online.h"
#include "device/uplinks.h"
#include "payload/profile.h"
#include "uplink/session.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ── A device that is going to be removed ── */

static void end_withdrawing(struct device *d)
{
    void (*done)(void *userdata) = d->withdrawing.done;

    d->withdrawing.timer = sd_event_source_disable_unref(d->withdrawing.timer);
    d->withdrawing.done = NULL;
    if (done)
        done(d->withdrawing.userdata);
}

static int on_withdrawn(sd_event_source *source, uint64_t usec, void *userdata)
{
    end_withdrawing(userdata);
    return 0;
}

void withdraw(struct device *d, void (*done)(void *userdata), void *userdata)
{
    bool can = device_online(d) && d->uplink->profile->transport == PROFILE_MQTT;

    d->withdrawing.done = done;
    d->withdrawing.userdata = userdata;
    if (sd_event_add_time(d->fleet->event, &d->withdrawing.timer, CLOCK_BOOTTIME,
                          clock_boottime() + (can ? WITHDRAW_TIMEOUT : 0), USEC_PER_MSEC, on_withdrawn, d) < 0) {
        end_withdrawing(d);
        return;
    }
    d->withdrawing.wanted = true;
    if (can)
        announce_begin(d);
}

void withdraw_cancel(struct device *d)
{
    d->withdrawing.wanted = d->withdrawing.silent = false;
    session_other_points(d);
}

void withdraw_leave(struct device *d)
{
    if (d->withdrawing.timer)
        end_withdrawing(d);
}

/* ── Those that are gone ── */

struct ghost {
    struct ghost *next;
    struct fleet *fleet;
    char *id, *path, *text;
    struct shared_uplink *uplink;
    struct uplink_session *session;
    struct announced announced;
    struct uplink_call *call;
    size_t i;
    sd_event_source *end;
    bool gone;    /* freed, except while a worker writes its file */
    bool writing; /* one does */
};

static void ghost_free(struct ghost *g)
{
    uplink_call_cancel(g->call);
    sd_event_source_disable_unref(TAKE_PTR(g->end));
    g->session = uplink_session_free(g->session);
    if (g->uplink)
        g->uplink = shared_uplink_put(g->uplink);
    g->gone = true;
    if (g->writing)
        return;
    announced_done(&g->announced);
    free(g->id);
    free(g->path);
    free(g->text);
    free(g);
}

static int on_end(sd_event_source *source, uint64_t usec, void *userdata)
{
    struct ghost *g = userdata, **link = &g->fleet->announced.ghosts;

    while (*link != g)
        link = &(*link)->next;
    *link = g->next;
    ghost_free(g);
    return 0;
}

static int write_file(void *userdata)
{
    struct ghost *g = userdata;

    return announced_write(g->path, g->text);
}

static void on_written(int r, void *userdata)
{
    struct ghost *g = userdata;

    g->writing = false;
    if (g->gone) {
        ghost_free(g);
        return;
    }
    if (sd_event_add_time(g->fleet->event, &g->end, CLOCK_BOOTTIME, clock_boottime(), 1, on_end, g) < 0)
        log_error(g->id, "no memory to end its session");
}

static void all_tried(struct ghost *g)
{
    int r = g->announced.n > 0 ? announced_format(&g->announced, &g->text) : 0;

    if (g->announced.n == 0)
        log_notice(g->id, "is gone, and its broker keeps nothing of it any more");
    g->writing = true;
    if (r >= 0)
        r = workers_submit(g->fleet->pools.local, write_file, on_written, g);
    if (r < 0)
        on_written(r, g);
}

static void take_back_next(struct ghost *g);

static void on_taken_back(int r, const struct uplink_response *response, void *userdata)
{
    struct ghost *g = userdata;

    g->call = NULL;
    if (r == -ECANCELED)
        return;
    if (r >= 0 && profile_verdict(g->uplink->profile, response->code) == PROFILE_ACCEPTED) {
        announced_remove(&g->announced, g->announced.list[g->i].topic);
    } else {
        if (g->i == 0)
            log_warning(g->id, "is gone, but its broker does not let %s be taken back", g->announced.list[0].topic);
        g->i++;
    }
    take_back_next(g);
}

static void take_back_next(struct ghost *g)
{
    struct profile_message m = {.retain = true, .content_format = -1, .accept = -1, .body = (char *)""};
    int r;

    if (g->i >= g->announced.n) {
        all_tried(g);
        return;
    }
    m.target = g->announced.list[g->i].topic;
    r = message_send(g->session, &m, on_taken_back, g, &g->call);
    if (r < 0)
        all_tried(g);
}

static void on_state(void *userdata, enum uplink_state state, const char *reason)
{
    struct ghost *g = userdata;

    if (state == UPLINK_STATE_ONLINE && !g->call && !g->writing && !g->end)
        take_back_next(g);
}

static int introduce(void *userdata, struct uplink_introduction *ret)
{
    const struct ghost *g = userdata;
    const struct config_uplink *settings = g->uplink->settings;
    char opaque[OPAQUE_ID_SIZE];
    int r = vault_opaque_id(g->fleet->vault, g->id, opaque);

    return r < 0 ? r : client_id_make(settings->client_id, g->id, opaque, g->id, settings->gateway, &ret->client_id);
}

static const struct uplink_session_ops ghost_ops = {.state = on_state, .introduce = introduce};

/* The uplink at that broker of which the vault has a key of the device. NULL: none. */
static const struct vault_entry *find_entry(struct fleet *f, const char *id, const char *broker)
{
    for (size_t i = 0; i < f->config->n_uplinks; i++) {
        const struct config_uplink *u = f->config->uplinks[i];
        _cleanup_free_ char *one = u->mqtt ? announce_broker(u) : NULL;
        const struct vault_entry *entry = one && strcmp(one, broker) == 0 ? vault_find(f->vault, id, u->name) : NULL;
        const struct vault_credential *main = entry ? vault_credential(entry, VAULT_MAIN) : NULL;

        if (main && main->present && !main->quarantined)
            return entry;
    }
    return NULL;
}

/* A device that still exists takes back by itself what is not wanted. */
static bool is_there(const struct fleet *f, const char *id, const char *broker)
{
    const struct device *d = fleet_find((struct fleet *)f, id);
    const struct device *t = f->index.tombstones;
    _cleanup_free_ char *own = NULL;

    while (t && strcmp(t->config->id, id) != 0)
        t = t->grave.next;
    if (!d)
        d = t;
    own = d ? announce_broker(d->uplink->settings) : NULL;
    return own && strcmp(own, broker) == 0;
}

static int ghost_start(struct ghost *g, const struct vault_entry *entry)
{
    struct error e = {0};
    int r = shared_uplink_get(g->fleet, vault_entry_uplink(entry), &g->uplink, &e);

    if (r >= 0)
        r = uplink_session_new(g->uplink->uplink, &ghost_ops, g, &g->session);
    return r < 0 ? r : uplink_session_start(g->session, g->id, entry, VAULT_MAIN);
}

static void haunt(struct fleet *f, const char *id, struct announced *a)
{
    const struct vault_entry *entry = find_entry(f, id, a->broker);
    struct ghost *g;

    if (a->n == 0 || is_there(f, id, a->broker))
        return;
    if (!entry) {
        log_warning(id, "is gone, and so is its key: the broker %s keeps %zu messages of it, %s among them", a->broker,
                    a->n, a->list[0].topic);
        return;
    }
    g = calloc(1, sizeof(*g));
    if (!g)
        return;
    *g = (struct ghost){
        .fleet = f, .id = strdup(id), .path = announced_path(f->dirs.state, id, a->broker), .announced = *a};
    *a = (struct announced){0};
    if (!g->id || !g->path || ghost_start(g, entry) < 0) {
        ghost_free(g);
        return;
    }
    g->next = f->announced.ghosts;
    f->announced.ghosts = g;
}

/* The findings of a worker. */
struct orphans {
    struct fleet *fleet;
    struct orphan {
        char *id;
        struct announced announced;
    } * list;
    size_t n;
};

static int find_one(const char *device, struct announced *a, void *userdata)
{
    struct orphans *o = userdata;
    struct orphan *list = reallocarray(o->list, o->n + 1, sizeof(*list));

    if (!list)
        return -ENOMEM;
    o->list = list;
    list[o->n] = (struct orphan){strdup(device), *a};
    *a = (struct announced){0};
    o->n++;
    return 0;
}

static int find_all(void *userdata)
{
    struct orphans *o = userdata;

    return announced_each(o->fleet->dirs.state, find_one, o);
}

static void on_found(int r, void *userdata)
{
    struct orphans *o = userdata;

    for (size_t i = 0; i < o->n; i++) {
        if (!o->fleet->stopping && o->list[i].id)
            haunt(o->fleet, o->list[i].id, &o->list[i].announced);
        announced_done(&o->list[i].announced);
        free(o->list[i].id);
    }
    free(o->list);
    free(o);
}

void withdraw_orphan_back(struct fleet *f, const char *id)
{
    struct ghost **link = &f->announced.ghosts, *g;

    while ((g = *link)) {
        if (strcmp(g->id, id) != 0 || !is_there(f, id, g->announced.broker)) {
            link = &g->next;
            continue;
        }
        *link = g->next;
        ghost_free(g);
    }
}

void withdraw_orphans_leave(struct fleet *f)
{
    while (f->announced.ghosts) {
        struct ghost *g = f->announced.ghosts;

        f->announced.ghosts = g->next;
        ghost_free(g);
    }
}

void withdraw_orphans(struct fleet *f)
{
    struct orphans *o;

    withdraw_orphans_leave(f);
    if (f->stopping)
        return;
    /* Before any device asks: what that directory has is read a little later. */
    f->announced.any = f->announced.any || announced_some(f->dirs.state);
    if (!f->announced.any)
        return;
    o = calloc(1, sizeof(*o));
    if (!o)
        return;
    o->fleet = f;
    if (workers_submit(f->pools.local, find_all, on_found, o) < 0)
        free(o);
}
