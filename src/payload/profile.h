/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Profiles: how a cloud wants its samples, as data. A profile NAME is the file NAME.json in the first of the profile
 * directories that has it; it names the requests, the format, and what each answer means, and no code knows a cloud.
 *
 * A profile never changes once it is loaded; the owner frees it after all that use it. Loading blocks on a file; the
 * rest is pure. Mistakes in the file are noted with file:line:column. */

#include "base/cleanup.h"
#include "base/error.h"
#include "base/mistakes.h"
#include "base/sample.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum profile_format { PROFILE_SENML_JSON };

/* What an answer to a request means for what was sent, and for the credential it was sent with. */
enum profile_verdict {
    PROFILE_ACCEPTED, /* taken: samples are released, a probe has passed */
    PROFILE_REJECTED, /* the server will never take this content: a pack is split until the sample is found */
    PROFILE_REFUSED,  /* the server does not want this credential, or not here: nothing is released */
    PROFILE_RETRY,    /* not now: keep, and try again; also every answer that the profile does not name */
};

/* CoAP methods (RFC 7252 section 12.1.1) */
enum profile_method { PROFILE_POST = 2, PROFILE_PUT = 3 };

struct profile_request {
    enum profile_method method;
    char *path;              /* without a leading slash: "telemetry", "a/b" */
    unsigned content_format; /* CoAP content format (RFC 7252 section 12.3) */
};

struct profile {
    char *name;
    enum profile_format format;
    struct profile_request telemetry;
    struct profile_request probe;
    char *probe_body;      /* template: {device} */
    char *base_name;       /* template: {device} */
    size_t max_payload;    /* bytes of one request's body */
    uint8_t verdicts[256]; /* enum profile_verdict by CoAP code, class << 5 | detail */
};

/* Looks in the directories (NULL-terminated) in this order. 0; -EBADMSG with mistakes; -ENOMEM; -ENOENT if none has it,
 * with nothing noted: the caller says it where the name stands. */
int profile_load(const char *const directories[], const char *name, struct profile **ret, struct mistakes *mistakes);
struct profile *profile_free(struct profile *p);
DEFINE_FREEP(struct profile, profile_free)

/* A profile from the text of a file, which is changed in place. -EBADMSG with mistakes, -ENOMEM. */
int profile_parse(const char *file, char *text, size_t n, struct profile **ret, struct mistakes *mistakes);

/* What an answer with this CoAP code (class << 5 | detail) means. */
enum profile_verdict profile_verdict(const struct profile *p, uint8_t code);

/* The body of one telemetry request from the first of n samples, in order: at most `max` bytes (0: the profile's own
 * bound; never more than that). Returns how many samples it holds. The same samples give the same bytes, so a retry
 * passes exactly as many samples as it did before. -EMSGSIZE: the first sample does not fit even alone. -EINVAL: the
 * first sample cannot be said (not finite, its time is not yet known). Both are about that sample only: reject it and
 * go on. -ENOMEM. */
int profile_pack(const struct profile *p, const char *device, const struct sample *samples, size_t n, size_t max,
                 char **ret_body, size_t *ret_size);
/* The body of the probe request. 0 or -ENOMEM. */
int profile_probe(const struct profile *p, const char *device, char **ret_body, size_t *ret_size);
