/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A cloud over coap-peer.h that keeps what it is sent: requests by path, keys that devices register (POST credentials,
 * DELETE credentials/ID). Included after fleet-bench.h. */

#include "base/encode.h"
#include "base/json.h"

struct cloud_request {
    uint8_t method;
    char path[64], payload[512];
    size_t size;
};

struct cloud_bench {
    struct cloud_request got[128];
    size_t n;
    char refused[64]; /* requests to this path get: */
    uint8_t code;
    unsigned offered, deleted;
};

static struct cloud_bench cloud;

/* The last request to that path; NULL: none. */
static inline const struct cloud_request *cloud_got(const char *path)
{
    for (size_t i = cloud.n; i > 0; i--)
        if (strcmp(cloud.got[i - 1].path, path) == 0)
            return &cloud.got[i - 1];
    return NULL;
}

static inline size_t cloud_count(const char *path)
{
    size_t n = 0;

    for (size_t i = 0; i < cloud.n; i++)
        n += strcmp(cloud.got[i].path, path) == 0;
    return n;
}

/* Whether some request to that path has these words. */
static inline bool cloud_heard(const char *path, const char *words)
{
    for (size_t i = 0; i < cloud.n; i++)
        if (strcmp(cloud.got[i].path, path) == 0 &&
            memmem(cloud.got[i].payload, cloud.got[i].size, words, strlen(words)))
            return true;
    return false;
}

static void cloud_learns(struct coap_peer *peer, const struct coap_message *m, struct coap_message *answer)
{
    static char id[32];
    _cleanup_json_ json_object *o = NULL;
    struct peer_key *key = &peer->keys[peer->n_keys];
    const char *text;
    struct error e;
    ssize_t n;

    assert_true(peer->n_keys < PEER_KEYS);
    assert_int_equal(json_parse((const char *)m->payload, m->payload_size, &o, &e), 0);
    snprintf(key->identity, sizeof(key->identity), "%s", json_get_string(o, "identity"));
    text = json_get_string(o, "key");
    n = base64_decode(text, strlen(text), key->bytes, sizeof(key->bytes));
    assert_true(n > 0);
    key->size = (size_t)n;
    peer->n_keys++;
    snprintf(id, sizeof(id), "{\"id\":\"c-%u\"}", ++cloud.offered);
    answer->code = COAP_CREATED;
    answer->payload = (const uint8_t *)id;
    answer->payload_size = strlen(id);
}

static void cloud_answers(struct peer_session *p, const struct coap_message *m, const char *path,
                          struct coap_message *answer)
{
    struct cloud_request *at = &cloud.got[cloud.n % ELEMENTSOF(cloud.got)];

    assert_true(cloud.n < ELEMENTSOF(cloud.got));
    *at = (struct cloud_request){.method = m->code, .size = MIN_OF(m->payload_size, sizeof(at->payload))};
    snprintf(at->path, sizeof(at->path), "%s", path);
    if (at->size > 0)
        memcpy(at->payload, m->payload, at->size);
    cloud.n++;
    if (cloud.refused[0] && strcmp(cloud.refused, path) == 0)
        answer->code = cloud.code;
    else if (m->code == COAP_POST && strcmp(path, "credentials") == 0)
        cloud_learns(p->peer, m, answer);
    else if (m->code == COAP_DELETE && strncmp(path, "credentials/", 12) == 0) {
        cloud.deleted++;
        answer->code = COAP_DELETED;
    } else if (m->code == COAP_GET)
        answer->code = COAP_CONTENT;
}

static inline void cloud_begin(struct coap_peer *peer)
{
    memset(&cloud, 0, sizeof(cloud));
    peer->on_request = cloud_answers;
}
