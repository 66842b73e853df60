/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Calls of a cloud's management interface over HTTPS, one after the other over one connection where the cloud keeps it.
 * TLS with certificates checked, always; no redirect is followed, no proxy is taken from the environment. All calls
 * together may take REGISTRAR_BUDGET. Blocks. */

#include "base/cleanup.h"
#include "base/error.h"
#include "request.h"

struct https;

struct https_answer {
    long status;
    char *body; /* NUL-terminated behind its n bytes */
    size_t n;
    char etag[256];       /* "" if there is none; with its quotes */
    uint64_t retry_after; /* microseconds, 0: not asked for */
};
void https_answer_done(struct https_answer *a);

/* `authorization`: a whole header line with the API key, or NULL; the caller's, and may be wiped afterwards. */
int https_new(const struct request *q, const char *authorization, struct https **ret, struct error *e);
struct https *https_free(struct https *h);
DEFINE_FREEP(struct https, https_free)

/* `body` NULL: none. `if_match` NULL: unconditionally. 0: answered, with whatever status. -ENOTCONN: the request cannot
 * have been received. -ECONNRESET: it may have been, its answer was lost. */
int https_call(struct https *h, const char *method, const char *url, const char *body, const char *if_match,
               struct https_answer *ret, struct error *e);
