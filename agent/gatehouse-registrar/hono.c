/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Eclipse Hono's device registry: the set of a device's credentials is read, changed and written back whole, on the
 * condition that nobody else has changed it in between. */
#include "cloud.h"
#include "hono-set.h"

#include <stdio.h>
#include <string.h>

struct hono {
    struct cloud cloud;
    char auth_id[IDENTITY_MAX + 1];
    char address[2048];
    json_object *set;
    char etag[256];
    char before[CLOUD_ID_MAX]; /* the id of what stood there when we first looked */
    bool looked;
    bool made; /* or tried to: once a request */
};

/* The device of a first credential is not registered yet. CLOUD_GO_ON: look again, whatever became of it. */
static int make_device(struct hono *h)
{
    const struct request *q = h->cloud.q;
    char address[2048];
    int r;

    h->made = true;
    snprintf(address, sizeof(address), "%s/v1/devices/%s/%s", h->cloud.base, q->realm, q->hardware_id);
    r = cloud_write(&h->cloud, "POST", address, "{}", NULL, NULL);
    if (r == CLOUD_ABSENT)
        return cloud_retry(&h->cloud, 0, "the registry has no such tenant (404)");
    return r == CLOUD_ENDED ? r : CLOUD_GO_ON;
}

static int look(struct hono *h)
{
    const struct request *q = h->cloud.q;
    int r;

    json_object_put(h->set);
    h->set = NULL;
    r = cloud_get(&h->cloud, h->address, h->etag, &h->set);
    if (r == CLOUD_ABSENT && q->action == WIRE_PUT && q->create && !h->made) {
        r = make_device(h);
        if (r == CLOUD_GO_ON)
            r = cloud_get(&h->cloud, h->address, h->etag, &h->set);
    }
    if (r == CLOUD_ABSENT)
        return cloud_retry(&h->cloud, 0, "the registry does not have this device (404): register it there first");
    if (r != CLOUD_GO_ON)
        return r;
    if (!hono_set_valid(h->set))
        return cloud_retry(&h->cloud, 0, "the registry's answer is no set of credentials");
    if (!h->etag[0])
        return cloud_retry(&h->cloud, 0, "the registry gives no ETag, without which others' changes would be undone");
    return CLOUD_GO_ON;
}

static int write_set(struct hono *h)
{
    const char *text = json_object_to_json_string_ext(h->set, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
    int r = cloud_write(&h->cloud, "PUT", h->address, text, h->etag, NULL);

    /* Until it is seen. */
    h->cloud.lost |= r == CLOUD_GO_ON;
    return r;
}

/* The next step after a write: CLOUD_GO_ON, to look again, or CLOUD_ENDED. */
static int written(struct hono *h, int r)
{
    switch (r) {
    case CLOUD_GO_ON:
    case CLOUD_STALE:
    case CLOUD_LOST:
    case CLOUD_FAILED:
    case CLOUD_ENDED:
        return r == CLOUD_ENDED ? r : CLOUD_GO_ON;
    case CLOUD_EXISTS:
        outcome_set(h->cloud.out, REGISTRAR_CONFLICT, "another device of the tenant has the identity %s",
                    h->cloud.q->identity);
        return CLOUD_ENDED;
    default:
        return cloud_retry(&h->cloud, 0, "the registry does not have this device any more (404)");
    }
}

/* ── Putting ── */

/* It stands there, or something does. CLOUD_GO_ON: it is to be written. */
static int judge(struct hono *h)
{
    const struct request *q = h->cloud.q;
    bool wrote = h->cloud.lost;
    char id[CLOUD_ID_MAX];
    enum hono_state state = hono_look(h->set, h->auth_id, q, q->offered || wrote, id);

    if (!h->looked)
        memcpy(h->before, id, sizeof(id));
    h->looked = true;
    /* A credential that appeared while we wrote is ours, whichever ids were known before. */
    if (wrote && state != HONO_NONE && strcmp(id, h->before) != 0)
        return outcome_ok(h->cloud.out, REGISTRAR_OK, id), CLOUD_ENDED;
    if (state == HONO_OURS)
        return outcome_ok(h->cloud.out, REGISTRAR_EXISTS_OURS, id), CLOUD_ENDED;
    if (state == HONO_FOREIGN) {
        outcome_set(h->cloud.out, REGISTRAR_CONFLICT, "the identity %s stands there with a secret that is not ours",
                    q->identity);
        return CLOUD_ENDED;
    }
    return CLOUD_GO_ON;
}

static int put(struct hono *h)
{
    int last = CLOUD_STALE;

    for (unsigned i = 0; i < REGISTRAR_WRITES_MAX; i++) {
        struct outcome before = *h->cloud.out;

        if (look(h) != CLOUD_GO_ON || judge(h) != CLOUD_GO_ON)
            return CLOUD_ENDED;
        if (last == CLOUD_FAILED) {
            outcome_retry(h->cloud.out, true, before.answer.retry_after, "%s", before.texts.reason);
            return CLOUD_ENDED;
        }
        if (last == CLOUD_GO_ON)
            return cloud_retry(&h->cloud, 0, "the registry says that it took the key, and does not show it");
        if (hono_put(h->set, h->auth_id, h->cloud.q->key) < 0)
            return cloud_retry(&h->cloud, 0, "no memory for the request");
        last = write_set(h);
        if (written(h, last) != CLOUD_GO_ON)
            return CLOUD_ENDED;
    }
    return cloud_retry(&h->cloud, 0, "the set changes, or answers are lost, again and again");
}

/* ── The others ── */

static int find(struct hono *h)
{
    const struct request *q = h->cloud.q;
    char id[CLOUD_ID_MAX];

    if (look(h) != CLOUD_GO_ON)
        return CLOUD_ENDED;
    switch (hono_look(h->set, h->auth_id, q, true, id)) {
    case HONO_OURS:
        outcome_ok(h->cloud.out, REGISTRAR_OK, id);
        break;
    case HONO_NONE:
        outcome_set(h->cloud.out, REGISTRAR_ABSENT, "the registry shows no secret of %s", q->identity);
        break;
    case HONO_DISPLACED:
        if (q->other_id[0])
            outcome_set(h->cloud.out, REGISTRAR_ABSENT, "under %s stands the device's other key", q->identity);
        else
            cloud_retry(&h->cloud, 0, "which of the device's keys stands there cannot be told");
        break;
    case HONO_FOREIGN:
        outcome_set(h->cloud.out, REGISTRAR_CONFLICT, "the identity %s stands there with a secret that is not ours",
                    q->identity);
        break;
    }
    return CLOUD_ENDED;
}

/* That it is gone is believed only of a set that the registry takes back as the present one: what it shows may be
 * stale.
 */
static int delete (struct hono *h)
{
    const char *id = h->cloud.q->cloud_id;
    bool removed = false;
    int last = CLOUD_STALE;

    for (unsigned i = 0; i < REGISTRAR_WRITES_MAX; i++) {
        struct outcome before = *h->cloud.out;
        bool there;

        if (look(h) != CLOUD_GO_ON)
            return CLOUD_ENDED;
        there = hono_remove(h->set, h->auth_id, id) > 0;
        if (last == CLOUD_FAILED) {
            outcome_retry(h->cloud.out, true, before.answer.retry_after, "%s", before.texts.reason);
            return CLOUD_ENDED;
        }
        if (last == CLOUD_GO_ON && !there)
            return outcome_ok(h->cloud.out, removed ? REGISTRAR_OK : REGISTRAR_ABSENT, ""), CLOUD_ENDED;
        if (last == CLOUD_GO_ON)
            return cloud_retry(&h->cloud, 0, "the registry says that the key is deleted, and shows it still");
        removed |= there;
        last = write_set(h);
        if (written(h, last) != CLOUD_GO_ON)
            break;
    }
    /* A set that is refused is no verdict on the credential. */
    if (h->cloud.out->answer.result == REGISTRAR_INVALID || h->cloud.out->answer.result == REGISTRAR_CONFLICT)
        outcome_retry(h->cloud.out, h->cloud.lost, 0, "the registry refuses the set without the key");
    else if (!h->cloud.out->texts.reason[0])
        cloud_retry(&h->cloud, 0, "the set changes, or answers are lost, again and again");
    return CLOUD_ENDED;
}

int hono_serve(const struct request *q, const char *authorization, struct outcome *out)
{
    struct hono h = {0};

    if (hono_auth_id(q->identity, q->realm, h.auth_id) < 0)
        return outcome_retry(out, false, 0, "the identity %s does not end in @%s, as Hono's do", q->identity, q->realm);
    if (cloud_open(&h.cloud, q, authorization, out) != CLOUD_GO_ON)
        return 0;
    snprintf(h.address, sizeof(h.address), "%s/v1/credentials/%s/%s", h.cloud.base, q->realm, q->hardware_id);
    if (q->action == WIRE_PUT)
        put(&h);
    else if (q->action == WIRE_FIND)
        find(&h);
    else
        delete (&h);
    json_object_put(h.set);
    cloud_done(&h.cloud);
    return 0;
}
