/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "link/peer.h"

#include "base/clock.h"
#include "base/id.h"
#include "base/limits.h"
#include "base/names.h"

#include <pwd.h>
#include <stdio.h>
#include <string.h>

#define PASSWD_BUFFER 16384

/* One uid's answer, kept; and who waits for it. */
struct answer {
    uid_t uid;
    bool used, pending;
    uint64_t until;
    char name[DEVICE_ID_MAX + 1]; /* "" for none */
};

struct waiter {
    peer_name_fn done;
    void *userdata;
    uid_t uid;
};

struct peer_names {
    struct workers *workers;
    struct answer answers[PEER_UIDS_MAX];
    struct waiter waiters[PEER_UIDS_MAX];
    size_t n_waiters;
    size_t lookups; /* on the worker; they hold the object */
    bool freed;
};

/* Passed to the worker and back; the worker touches nothing else. */
struct lookup {
    struct peer_names *owner;
    uid_t uid;
    char name[DEVICE_ID_MAX + 1];
};

int peer_names_new(struct workers *workers, struct peer_names **ret)
{
    struct peer_names *p = calloc(1, sizeof(*p));

    if (!p)
        return -ENOMEM;
    p->workers = workers;
    *ret = p;
    return 0;
}

struct peer_names *peer_names_free(struct peer_names *p)
{
    if (!p)
        return NULL;
    p->freed = true;
    p->n_waiters = 0;
    if (p->lookups == 0)
        free(p);
    return NULL;
}

static int run_lookup(void *userdata)
{
    struct lookup *l = userdata;
    _cleanup_free_ char *buffer = malloc(PASSWD_BUFFER);
    struct passwd entry, *found = NULL;
    const char *name;
    int r;

    if (!buffer)
        return -ENOMEM;
    r = getpwuid_r(l->uid, &entry, buffer, PASSWD_BUFFER, &found);
    if (r != 0 || !found)
        return -r;
    if (strncmp(found->pw_name, DRIVER_USER_PREFIX, strlen(DRIVER_USER_PREFIX)) != 0)
        return 0;
    name = found->pw_name + strlen(DRIVER_USER_PREFIX);
    if (id_valid(name))
        snprintf(l->name, sizeof(l->name), "%s", name);
    return 0;
}

static struct answer *find_answer(struct peer_names *p, uid_t uid)
{
    for (size_t i = 0; i < PEER_UIDS_MAX; i++)
        if (p->answers[i].used && p->answers[i].uid == uid)
            return &p->answers[i];
    return NULL;
}

/* Those who wait for uid, taken off one by one: a callback may cancel others. */
static void tell(struct peer_names *p, uid_t uid, const char *name)
{
    size_t i = 0;

    while (i < p->n_waiters) {
        struct waiter w = p->waiters[i];

        if (w.uid != uid) {
            i++;
            continue;
        }
        p->waiters[i] = p->waiters[--p->n_waiters];
        w.done(name, w.userdata);
        i = 0;
    }
}

static void lookup_done(int r, void *userdata)
{
    _cleanup_free_ struct lookup *l = userdata;
    struct peer_names *p = l->owner;
    struct answer *a;

    p->lookups--;
    if (p->freed) {
        if (p->lookups == 0)
            free(p);
        return;
    }
    a = find_answer(p, l->uid);
    a->pending = false;
    /* A directory that did not answer says nothing about the uid: asked again at the next attempt. */
    a->until = r < 0 ? 0 : clock_boottime() + PEER_KEPT_FOR;
    memcpy(a->name, l->name, sizeof(a->name));
    tell(p, l->uid, l->name[0] ? l->name : NULL);
}

static int start_lookup(struct peer_names *p, struct answer *a)
{
    struct lookup *l = calloc(1, sizeof(*l));
    int r;

    if (!l)
        return -ENOMEM;
    l->owner = p;
    l->uid = a->uid;
    r = workers_submit(p->workers, run_lookup, lookup_done, l);
    if (r < 0) {
        free(l);
        return r;
    }
    a->pending = true;
    p->lookups++;
    return 0;
}

/* A place for a new uid: one that was never used, or the one that ran out first. */
static struct answer *free_answer(struct peer_names *p)
{
    struct answer *best = NULL;

    for (size_t i = 0; i < PEER_UIDS_MAX; i++) {
        struct answer *a = &p->answers[i];

        if (!a->used)
            return a;
        if (!a->pending && (!best || a->until < best->until))
            best = a;
    }
    return best;
}

int peer_names_find(struct peer_names *p, uid_t uid, peer_name_fn done, void *userdata)
{
    struct answer *a = find_answer(p, uid);
    int r;

    if (a && !a->pending && a->until > clock_boottime()) {
        done(a->name[0] ? a->name : NULL, userdata);
        return 0;
    }
    if (p->n_waiters == PEER_UIDS_MAX)
        return -EBUSY;
    if (!a) {
        a = free_answer(p);
        if (!a)
            return -EBUSY;
        *a = (struct answer){.uid = uid, .used = true};
    }
    if (!a->pending) {
        r = start_lookup(p, a);
        if (r < 0)
            return r;
    }
    p->waiters[p->n_waiters++] = (struct waiter){done, userdata, uid};
    return 0;
}

void peer_names_cancel(struct peer_names *p, void *userdata)
{
    size_t i = 0;

    while (i < p->n_waiters)
        if (p->waiters[i].userdata == userdata)
            p->waiters[i] = p->waiters[--p->n_waiters];
        else
            i++;
}
