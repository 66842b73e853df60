/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Golioth: a device is found by its hardware id; a credential is added or deleted, never
 * changed. An identity is unique in the project, so a credential that stands under ours is the one that we sent, if we
 * sent one. */
#include "cloud.h"
#include "golioth-list.h"

#include "base/names.h"

#include <stdio.h>
#include <string.h>

#define ADDRESS_MAX 2048

struct golioth {
    struct cloud cloud;
    char identity[IDENTITY_MAX + 1];                     /* without the project */
    char device[CLOUD_ID_MAX], credential[CLOUD_ID_MAX]; /* what stands there: ids of Golioth's, "" if nothing does */
    bool exists;                                         /* it said so */
};

/* ── Looking ── */

static int bad_list(struct golioth *g, int r)
{
    if (r == -ENOTUNIQ)
        outcome_set(g->cloud.out, REGISTRAR_CONFLICT, "two devices of the project have the hardware id %s",
                    g->cloud.q->hardware_id);
    else
        cloud_retry(&g->cloud, 0, "the cloud's list is none that could be understood");
    /* Only an offer can be told of a conflict between devices. */
    if (g->cloud.q->action == WIRE_DELETE)
        cloud_retry(&g->cloud, 0, "the cloud's list contradicts itself");
    return CLOUD_ENDED;
}

/* One page; *ret_more: there are others. */
static int look_at_page(struct golioth *g, const char *address, unsigned page, size_t *seen, bool *ret_more,
                        int (*find)(json_object *list, const char *what, char ret_id[CLOUD_ID_MAX]), const char *what,
                        char ret_id[CLOUD_ID_MAX])
{
    _cleanup_json_ json_object *answer = NULL;
    char url[ADDRESS_MAX + 64], id[CLOUD_ID_MAX] = "";
    json_object *list;
    size_t total, n;
    int r;

    snprintf(url, sizeof(url), "%s%cpage=%u&perPage=%d", address, strchr(address, '?') ? '&' : '?', page,
             REGISTRAR_PAGE);
    r = cloud_get(&g->cloud, url, NULL, &answer);
    if (r != CLOUD_GO_ON)
        return r;
    list = golioth_page(answer, &total);
    if (!list)
        return bad_list(g, -EBADMSG);
    r = find(list, what, id);
    if (r == 0 && id[0] && ret_id[0])
        r = -ENOTUNIQ;
    if (r < 0)
        return bad_list(g, r);
    if (id[0])
        memcpy(ret_id, id, sizeof(id));
    n = json_object_array_length(list);
    *seen += n;
    *ret_more = n > 0 && (total == SIZE_MAX ? n >= REGISTRAR_PAGE : *seen < total);
    return CLOUD_GO_ON;
}

static int look_through(struct golioth *g, const char *address,
                        int (*find)(json_object *list, const char *what, char ret_id[CLOUD_ID_MAX]), const char *what,
                        char ret_id[CLOUD_ID_MAX])
{
    size_t seen = 0;
    bool more = true;

    ret_id[0] = 0;
    for (unsigned page = 0; more; page++) {
        int r;

        if (page >= REGISTRAR_PAGES_MAX)
            return cloud_retry(&g->cloud, 0, "the cloud's list does not end");
        r = look_at_page(g, address, page, &seen, &more, find, what, ret_id);
        if (r != CLOUD_GO_ON)
            return r;
    }
    return CLOUD_GO_ON;
}

static int look_for_credential(struct golioth *g)
{
    char address[ADDRESS_MAX];
    int r;

    snprintf(address, sizeof(address), "%s/v1/projects/%s/devices/%s/credentials", g->cloud.base, g->cloud.q->realm,
             g->device);
    r = look_through(g, address, golioth_find_credential, g->cloud.q->identity, g->credential);
    if (r == CLOUD_ABSENT)
        g->device[0] = 0; /* gone meanwhile */
    return r == CLOUD_ENDED ? r : CLOUD_GO_ON;
}

static int look(struct golioth *g)
{
    char address[ADDRESS_MAX];
    int r;

    g->credential[0] = 0;
    snprintf(address, sizeof(address), "%s/v1/projects/%s/devices?hardwareId=%s", g->cloud.base, g->cloud.q->realm,
             g->cloud.q->hardware_id);
    r = look_through(g, address, golioth_find_device, g->cloud.q->hardware_id, g->device);
    if (r == CLOUD_ABSENT)
        return cloud_retry(&g->cloud, 0, "the cloud has no such project (404)");
    return r == CLOUD_GO_ON && g->device[0] ? look_for_credential(g) : r;
}

static int shown_id(struct golioth *g, char id[CLOUD_ID_MAX])
{
    return golioth_join(g->device, g->credential, id) < 0
               ? cloud_retry(&g->cloud, 0, "the cloud's ids are longer than they could be kept")
               : CLOUD_GO_ON;
}

/* ── Putting ── */

static int taken(struct golioth *g, enum registrar_result result)
{
    char id[CLOUD_ID_MAX] = "";

    if (g->credential[0] && shown_id(g, id) < 0)
        return CLOUD_ENDED;
    outcome_ok(g->cloud.out, result, id);
    return CLOUD_ENDED;
}

/* Our identity stands there. By the id if it is known, otherwise it is ours if we have ever sent it. */
static int found(struct golioth *g)
{
    const struct request *q = g->cloud.q;
    char id[CLOUD_ID_MAX] = "";

    if (g->credential[0] && shown_id(g, id) < 0)
        return CLOUD_ENDED;
    if (q->cloud_id[0] && id[0] && strcmp(q->cloud_id, id) != 0)
        outcome_set(g->cloud.out, REGISTRAR_CONFLICT, "the identity %s stands there as another credential than ours",
                    q->identity);
    else if (g->cloud.lost)
        outcome_ok(g->cloud.out, REGISTRAR_OK, id);
    else if (q->offered || q->cloud_id[0])
        outcome_ok(g->cloud.out, REGISTRAR_EXISTS_OURS, id);
    else
        outcome_set(g->cloud.out, REGISTRAR_CONFLICT, "the identity %s stands there, and this gateway never sent it",
                    q->identity);
    return CLOUD_ENDED;
}

static json_object *credential_body(struct golioth *g, bool with_device)
{
    _cleanup_json_ json_object *o = json_object_new_object(), *ids = json_object_new_array();
    const struct request *q = g->cloud.q;
    int r = o && ids ? 0 : -1;

    if (r == 0 && with_device) {
        r = json_object_array_add(ids, json_object_new_string(q->hardware_id));
        r |= json_object_object_add(o, "name", json_object_new_string(q->device));
        r |= json_object_object_add(o, "hardwareIds", json_object_get(ids));
    }
    if (r == 0)
        r = json_object_object_add(o, "identity", json_object_new_string(g->identity));
    if (r == 0)
        r = json_object_object_add(o, "preSharedKey", json_object_new_string(q->key));
    if (r == 0)
        r = json_object_object_add(o, "type", json_object_new_string("PRE_SHARED_KEY"));
    return r == 0 ? TAKE_PTR(o) : NULL;
}

static int post(struct golioth *g, const char *address, bool with_device, json_object **ret)
{
    _cleanup_json_ json_object *body = credential_body(g, with_device);

    if (!body)
        return cloud_retry(&g->cloud, 0, "no memory for the request");
    return cloud_write(&g->cloud, "POST", address,
                       json_object_to_json_string_ext(body, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE),
                       NULL, ret);
}

/* A device without our credential gets it. */
static int add_credential(struct golioth *g)
{
    _cleanup_json_ json_object *answer = NULL;
    char address[ADDRESS_MAX];
    int r;

    snprintf(address, sizeof(address), "%s/v1/projects/%s/devices/%s/credentials", g->cloud.base, g->cloud.q->realm,
             g->device);
    r = post(g, address, false, &answer);
    if (r != CLOUD_GO_ON)
        return r;
    if (golioth_new_id(answer, "id", g->credential) < 0) {
        g->cloud.lost = true; /* taken, but as what it does not say: looking does */
        return CLOUD_LOST;
    }
    return taken(g, REGISTRAR_OK);
}

/* A device that had a credential before is there under another hardware id, or it is not shown at the moment. A second
 * one beside it would hide the first, with the old key in it. */
static int no_device(struct golioth *g)
{
    outcome_retry(g->cloud.out, g->cloud.lost, 0,
                  "no device of the project %s has the hardware id %s: give it to the device in Golioth's console",
                  g->cloud.q->realm, g->cloud.q->hardware_id);
    return CLOUD_ENDED;
}

/* The device is not there: it is made with the credential in it. */
static int provision(struct golioth *g)
{
    _cleanup_json_ json_object *answer = NULL;
    char address[ADDRESS_MAX];
    int r;

    snprintf(address, sizeof(address), "%s/v1/projects/%s/provisioning", g->cloud.base, g->cloud.q->realm);
    r = post(g, address, true, &answer);
    if (r != CLOUD_GO_ON)
        return r;
    g->cloud.lost = true;
    if (golioth_new_id(answer, "deviceId", g->device) < 0)
        return CLOUD_LOST;
    /* The credential's own id comes with looking only; without it yet, it is asked for when it is needed. */
    r = look_for_credential(g);
    return r == CLOUD_GO_ON ? taken(g, REGISTRAR_OK) : r;
}

/* The conclusion if the cloud reports that it exists, but does not list it with the device. */
static int exists_unseen(struct golioth *g)
{
    const struct request *q = g->cloud.q;

    bool ours = g->cloud.lost || q->offered || q->cloud_id[0];

    if (!g->device[0] && ours)
        return cloud_retry(&g->cloud, 0, "the cloud has the device or the identity already, but does not show it");
    if (ours)
        return taken(g, REGISTRAR_EXISTS_OURS);
    /* Nothing of ours can be what is in the way. */
    outcome_set(g->cloud.out, REGISTRAR_CONFLICT,
                "the identity %s, or the hardware id %s, stands elsewhere in the project", q->identity, q->hardware_id);
    return CLOUD_ENDED;
}

static int put(struct golioth *g)
{
    bool had_device = false;
    int r = CLOUD_LOST;

    for (unsigned i = 0; i < REGISTRAR_WRITES_MAX; i++) {
        struct outcome before = *g->cloud.out;

        if (look(g) != CLOUD_GO_ON)
            return CLOUD_ENDED;
        if (g->credential[0])
            return found(g);
        /* The existing object may be the device, missing from a stale list. */
        if (r == CLOUD_EXISTS && (had_device || !g->device[0]))
            return exists_unseen(g);
        if (r == CLOUD_FAILED) {
            outcome_retry(g->cloud.out, true, before.answer.retry_after, "%s", before.texts.reason);
            return CLOUD_ENDED;
        }
        if (!g->device[0] && !g->cloud.q->create)
            return no_device(g);
        had_device = g->device[0];
        r = had_device ? add_credential(g) : provision(g);
        if (r == CLOUD_ENDED)
            return r;
        if (r == CLOUD_ABSENT)
            return cloud_retry(&g->cloud, 0, "the cloud has no such project or device (404)");
        if (r == CLOUD_STALE)
            return cloud_retry(&g->cloud, 0, "the cloud answered 412 to POST");
    }
    return cloud_retry(&g->cloud, 0, "the cloud's answers are lost again and again");
}

/* ── The others ── */

static int find(struct golioth *g)
{
    const struct request *q = g->cloud.q;
    char id[CLOUD_ID_MAX];

    if (look(g) != CLOUD_GO_ON || (g->credential[0] && shown_id(g, id) < 0))
        return CLOUD_ENDED;
    if (!g->device[0])
        return no_device(g);
    if (!g->credential[0])
        outcome_set(g->cloud.out, REGISTRAR_ABSENT, "the cloud shows no credential %s with the device", q->identity);
    else if (q->cloud_id[0] && strcmp(q->cloud_id, id) != 0)
        outcome_set(g->cloud.out, REGISTRAR_CONFLICT, "the identity %s stands there as another credential than ours",
                    q->identity);
    else
        outcome_ok(g->cloud.out, REGISTRAR_OK, id);
    return CLOUD_ENDED;
}

/* The cloud said that it deleted; it may still show it for a while, or not have done it. */
static int confirm_deletion(struct golioth *g, const char *credential)
{
    if (look_for_credential(g) != CLOUD_GO_ON)
        return CLOUD_ENDED;
    if (g->credential[0] && strcmp(g->credential, credential) == 0)
        return cloud_retry(&g->cloud, 0, "the cloud says that the credential is deleted, and shows it still");
    outcome_ok(g->cloud.out, REGISTRAR_OK, "");
    return CLOUD_ENDED;
}

/* Repeating names the same id and changes nothing, and its 404 is worth more than a list that may be stale. */
static int delete (struct golioth *g)
{
    char address[ADDRESS_MAX], credential[CLOUD_ID_MAX];

    if (golioth_split(g->cloud.q->cloud_id, g->device, credential) < 0)
        return cloud_retry(&g->cloud, 0, "the id of the credential is none of Golioth's");
    snprintf(address, sizeof(address), "%s/v1/projects/%s/devices/%s/credentials/%s", g->cloud.base, g->cloud.q->realm,
             g->device, credential);
    for (unsigned i = 0; i < REGISTRAR_WRITES_MAX; i++) {
        int r = cloud_write(&g->cloud, "DELETE", address, NULL, NULL, NULL);

        g->cloud.lost |= r == CLOUD_GO_ON;
        if (r == CLOUD_GO_ON)
            return confirm_deletion(g, credential);
        /* A wrong address or a proxy knows nothing of credentials, and says 404 as well. */
        if (r == CLOUD_ABSENT && !g->cloud.coded)
            return cloud_retry(&g->cloud, 0, "the 404 to DELETE is not of Golioth's making: is the url right?");
        if (r == CLOUD_ABSENT) {
            outcome_set(g->cloud.out, REGISTRAR_ABSENT, "the cloud does not have it (404)");
            return CLOUD_ENDED;
        }
        if (r == CLOUD_ENDED || r == CLOUD_FAILED)
            break;
        if (r != CLOUD_LOST)
            return cloud_retry(&g->cloud, 0, "the cloud answered DELETE in a way that it never should");
        cloud_retry(&g->cloud, 0, "the cloud's answers are lost again and again");
    }
    /* An invalid deletion is no verdict on the credential. */
    if (g->cloud.out->answer.result == REGISTRAR_INVALID)
        outcome_retry(g->cloud.out, false, 0, "the cloud answered 400 to DELETE");
    return CLOUD_ENDED;
}

int golioth_serve(const struct request *q, const char *authorization, struct outcome *out)
{
    struct golioth g = {0};

    if (golioth_local_identity(q->identity, q->realm, g.identity) < 0)
        return outcome_retry(out, false, 0, "the identity %s does not end in @%s, as Golioth's do", q->identity,
                             q->realm);
    if (!authorization)
        return outcome_retry(out, false, 0, "Golioth wants an API key, and there is no credential " CREDENTIAL_API_KEY);
    if (cloud_open(&g.cloud, q, authorization, out) != CLOUD_GO_ON)
        return 0;
    if (q->action == WIRE_PUT)
        put(&g);
    else if (q->action == WIRE_FIND)
        find(&g);
    else
        delete (&g);
    cloud_done(&g.cloud);
    return 0;
}
