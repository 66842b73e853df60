/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "rotation/carrier.h"

#include "base/limits.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Of what is no act of the operator at most one of a kind waits. */
#define QUEUE_ACTS_MAX 16
#define QUEUE_MAX (QUEUE_ACTS_MAX + ROTATION_EV_ROTATE)

struct queued {
    uint8_t type; /* enum rotation_event_type */
    bool maybe_sent : 1, compromised : 1, scheduled : 1, confirmed : 1;
};

struct rotation_carrier {
    const struct rotation_ops *ops;
    void *userdata;
    struct rotation_policy policy;
    struct rotation machine;
    struct queued queue[QUEUE_MAX];
    size_t n;
    char *cloud_id; /* of the one result with an id that may wait */
    bool running;   /* events are being carried out further up the stack */
    bool probe_open;
    enum rotation_event_type act; /* the operator's, that the machine has not answered */
};

int rotation_carrier_new(const struct rotation_ops *ops, void *userdata, const struct rotation_policy *policy,
                         const void *blob, size_t n, bool has_main, bool has_backup, struct rotation_carrier **ret)
{
    _cleanup_(rotation_carrier_freep) struct rotation_carrier *c = calloc(1, sizeof(*c));
    struct rotation_durable d;
    int r;

    if (!c)
        return -ENOMEM;
    c->ops = ops;
    c->userdata = userdata;
    c->policy = *policy;
    rotation_init(&c->machine, has_main);
    if (n > 0) {
        r = rotation_decode(blob, n, &d);
        if (r < 0)
            return r;
        rotation_restore(&c->machine, &d);
    }
    if (c->machine.d.has_main != has_main || c->machine.d.has_backup != has_backup)
        return -EBADMSG;
    *ret = TAKE_PTR(c);
    return 0;
}

struct rotation_carrier *rotation_carrier_free(struct rotation_carrier *c)
{
    if (!c)
        return NULL;
    free(c->cloud_id);
    free(c);
    return NULL;
}

/* ── Events ── */

static bool is_act(enum rotation_event_type type)
{
    return type >= ROTATION_EV_ROTATE && type < ROTATION_EVENTS;
}

static bool ends_commit(enum rotation_event_type type)
{
    return type == ROTATION_EV_COMMITTED || type == ROTATION_EV_COMMIT_FAILED;
}

static int enqueue(struct rotation_carrier *c, const struct rotation_event *ev)
{
    size_t n_acts = 0;

    for (size_t i = 0; i < c->n; i++) {
        n_acts += is_act(c->queue[i].type);
        if (c->queue[i].type == ev->type && !is_act(ev->type))
            return 0; /* nothing happened between the two that the machine could have told apart */
    }
    if (is_act(ev->type) && n_acts >= QUEUE_ACTS_MAX)
        return -EBUSY;
    if (ev->cloud_id && ev->cloud_id[0]) {
        free(c->cloud_id);
        c->cloud_id = strdup(ev->cloud_id); /* without it the id is asked for again when it is needed */
    }
    c->queue[c->n++] = (struct queued){.type = (uint8_t)ev->type,
                                       .maybe_sent = ev->maybe_sent,
                                       .compromised = ev->compromised,
                                       .scheduled = ev->scheduled,
                                       .confirmed = ev->confirmed};
    return 0;
}

/* The next event that the machine takes: while a commit is under way only its end. */
static bool dequeue(struct rotation_carrier *c, struct queued *ret)
{
    bool pending = c->machine.change != ROTATION_CHANGE_NONE;

    for (size_t i = 0; i < c->n; i++) {
        if (ends_commit(c->queue[i].type) != pending)
            continue;
        *ret = c->queue[i];
        memmove(&c->queue[i], &c->queue[i + 1], (--c->n - i) * sizeof(c->queue[0]));
        return true;
    }
    return false;
}

/* ── Actions ── */

static void fail(struct rotation_carrier *c, enum rotation_event_type type)
{
    enqueue(c, &(struct rotation_event){.type = type});
}

static int commit(struct rotation_carrier *c, const struct rotation_action *a)
{
    uint8_t blob[ROTATION_BLOB_MAX];
    ssize_t n = rotation_encode(a->next, blob, sizeof(blob));
    struct rotation_commit commit = {.change = a->change,
                                     .role = a->role,
                                     .cloud_id = a->change == ROTATION_CHANGE_CLOUD_ID ? a->cloud_id : NULL,
                                     .again = a->again,
                                     .blob = blob,
                                     .blob_size = (size_t)n};

    return n < 0 ? (int)n : c->ops->commit(c->userdata, &commit);
}

static uint64_t spread(struct rotation_carrier *c, uint64_t now, uint64_t when)
{
    uint64_t half = when > now ? (when - now) / 2 : 0;

    return c->ops->random && half > 0 ? when - c->ops->random(c->userdata) % half : when;
}

static void carry_out(struct rotation_carrier *c, const struct rotation_action *a, uint64_t now)
{
    const struct rotation_ops *ops = c->ops;
    void *userdata = c->userdata;

    switch (a->type) {
    case ROTATION_DO_COMMIT:
        if (commit(c, a) < 0)
            fail(c, ROTATION_EV_COMMIT_FAILED);
        break;
    case ROTATION_DO_OFFER:
        if (ops->offer(userdata) < 0)
            fail(c, ROTATION_EV_OFFER_RETRY);
        break;
    case ROTATION_DO_FIND:
        if (ops->find(userdata, a->role) < 0)
            fail(c, ROTATION_EV_FIND_RETRY);
        break;
    case ROTATION_DO_PROBE:
        if (ops->probe(userdata) < 0)
            fail(c, ROTATION_EV_PROBE_LOCAL);
        break;
    case ROTATION_DO_VERIFY:
        if (ops->verify(userdata) < 0)
            fail(c, ROTATION_EV_VERIFY_LOCAL);
        break;
    case ROTATION_DO_DELETE:
        if (ops->delete (userdata, a->role) < 0)
            fail(c, ROTATION_EV_DELETE_RETRY);
        break;
    case ROTATION_DO_CLOSE_OLD:
        c->probe_open = false;
        ops->close_old(userdata);
        break;
    case ROTATION_DO_TIMER:
        ops->set_timer(userdata, a->jitter ? spread(c, now, a->when) : a->when);
        break;
    case ROTATION_DO_FINISHED:
        ops->finished(userdata, a->outcome, a->text);
        break;
    case ROTATION_DO_MOVED:
        ops->moved(userdata, a->move, a->text);
        break;
    case ROTATION_DO_REPORT:
        ops->report(userdata, a->report, a->text);
        break;
    case ROTATION_DO_REPLY:
        ops->reply(userdata, c->act, a->reply, a->text);
        break;
    }
}

static void drop_probe(struct rotation_carrier *c)
{
    if (!c->probe_open || c->machine.change != ROTATION_CHANGE_NONE)
        return;
    c->probe_open = false;
    if (c->ops->drop_probe)
        c->ops->drop_probe(c->userdata);
}

static void step(struct rotation_carrier *c, const struct queued *q)
{
    struct rotation_event ev = {.type = q->type,
                                .maybe_sent = q->maybe_sent,
                                .compromised = q->compromised,
                                .scheduled = q->scheduled,
                                .confirmed = q->confirmed};
    bool brings_id = ev.type == ROTATION_EV_OFFER_OK || ev.type == ROTATION_EV_FOUND;
    _cleanup_free_ char *id = brings_id ? TAKE_PTR(c->cloud_id) : NULL;
    struct rotation_durable before = c->machine.d;
    struct rotation_actions actions;

    ev.cloud_id = id;
    c->ops->now(c->userdata, &ev.now);
    if (is_act(ev.type))
        c->act = ev.type;
    if (rotation_step(&c->machine, &c->policy, &ev, &actions) < 0)
        return; /* a result that nobody waits for any more */
    if (ev.type == ROTATION_EV_PROBE_ACCEPTED)
        c->probe_open = true;
    for (size_t i = 0; i < actions.n; i++)
        carry_out(c, &actions.list[i], ev.now.boottime);
    drop_probe(c);
    if (c->ops->changed && memcmp(&before, &c->machine.d, sizeof(before)) != 0)
        c->ops->changed(c->userdata);
}

static void run(struct rotation_carrier *c)
{
    struct queued q;

    if (c->running)
        return;
    c->running = true;
    while (dequeue(c, &q))
        step(c, &q);
    c->running = false;
}

void rotation_carrier_start(struct rotation_carrier *c)
{
    rotation_carrier_event(c, &(struct rotation_event){.type = ROTATION_EV_RESTART});
}

int rotation_carrier_event(struct rotation_carrier *c, const struct rotation_event *event)
{
    int r = enqueue(c, event);

    if (r >= 0)
        run(c);
    return r;
}

void rotation_carrier_committed(struct rotation_carrier *c, int r)
{
    rotation_carrier_event(c,
                           &(struct rotation_event){.type = r < 0 ? ROTATION_EV_COMMIT_FAILED : ROTATION_EV_COMMITTED});
}

void rotation_carrier_set_policy(struct rotation_carrier *c, const struct rotation_policy *policy)
{
    c->policy = *policy;
    rotation_carrier_event(c, &(struct rotation_event){.type = ROTATION_EV_TIMER});
}

/* ── Showing ── */

const struct rotation *rotation_carrier_machine(const struct rotation_carrier *c)
{
    return &c->machine;
}

const char *rotation_carrier_state(const struct rotation_carrier *c)
{
    return rotation_shown_state(&c->machine.d);
}
