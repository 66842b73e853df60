/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Common part of the clouds' registrars: a request carried out by HTTPS calls, and the statuses that mean the same at
 * every cloud. */

#include "https.h"
#include "outcome.h"
#include "request.h"

#include "base/limits.h"

#include <stdbool.h>

/* A request under way. */
struct cloud {
    const struct request *q;
    struct https *https;
    struct outcome *out;
    char base[HTTPS_URL_MAX + 1]; /* the address without a '/' at its end */
    bool lost;                    /* something that writes may have been carried out, or still be */
    bool coded; /* the last refusal was an object with a "code", so not that of some proxy or other server */
};

/* Functions that carry out a part return one of these. */
enum cloud_step {
    CLOUD_ENDED = -1, /* the outcome stands */
    CLOUD_GO_ON = 0,
    CLOUD_ABSENT, /* 404 */
    CLOUD_EXISTS, /* 409 */
    CLOUD_STALE,  /* 412 */
    CLOUD_LOST,   /* no answer: look */
    CLOUD_FAILED, /* the server failed: look, but do not repeat */
};

/* Ends with RETRY. */
int cloud_retry(struct cloud *c, uint64_t retry_after, const char *reason);
/* A call that only looks; the answer's JSON in *ret. CLOUD_GO_ON, CLOUD_ABSENT, CLOUD_ENDED. `etag` may be NULL. */
int cloud_get(struct cloud *c, const char *url, char etag[256], json_object **ret);
/* A call that writes; `body` may be NULL, and so may `ret`: the answer is then not looked at. Everything but
 * CLOUD_GO_ON and CLOUD_ENDED is the caller's to understand. */
int cloud_write(struct cloud *c, const char *method, const char *url, const char *body, const char *if_match,
                json_object **ret);

/* The registrars. 0, with the outcome; `authorization` as https_new() takes it. */
int golioth_serve(const struct request *q, const char *authorization, struct outcome *out);
int hono_serve(const struct request *q, const char *authorization, struct outcome *out);
int cloud_open(struct cloud *c, const struct request *q, const char *authorization, struct outcome *out);
void cloud_done(struct cloud *c);
