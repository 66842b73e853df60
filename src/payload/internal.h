/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Shared by the files of this folder only. Others include payload/profile.h. */

#include "payload/template.h"

#define CONTENT_FORMAT_TEXT 0
#define CONTENT_FORMAT_JSON 50
#define CONTENT_FORMAT_CBOR 60
#define CONTENT_FORMAT_SENML_JSON 110
#define CONTENT_FORMAT_SENML_CBOR 112

static inline bool content_format_cbor(int format)
{
    return format == CONTENT_FORMAT_CBOR || format == CONTENT_FORMAT_SENML_CBOR;
}

/* The target of a request, expanded. 0 or -ENOMEM. */
int request_target(const struct profile *p, const struct profile_request *q, const struct meanings *m, char **ret);
/* The whole message. 0 or -ENOMEM. */
int request_message(const struct profile *p, const struct profile_request *q, struct meanings *m,
                    struct profile_message *ret);
void profile_request_done(struct profile_request *q);

/* As profile_pack(), of format json; the target is left to the caller. */
ssize_t record_pack(const struct profile *p, struct meanings *m, const struct sample *samples, size_t n, size_t max,
                    char **ret_body, size_t *ret_size);
/* How many of the samples, from the first on, are of the same point and the same quality. */
size_t record_run(const struct sample *samples, size_t n);

/* The topic filter of a source: where its topic captures a level, "+". 0 or -ENOMEM. */
int source_filter(const struct profile_source *s, const struct profile_names *names, char **ret);

/* Reads the root of a profile. 0, -EBADMSG (noted), -ENOMEM. */
int profile_read(struct reader *r, struct profile *p);
void profile_read_responses(struct reader *r, struct value root, struct profile *p);
/* "commands", a list of sources. */
void profile_read_sources(struct reader *r, struct value root, struct profile *p);

/* A message under `key`, if it is there. `words` may stand in its target and body; `more` are keys beside those of a
 * message, NULL-terminated. */
bool profile_read_request(struct reader *r, struct value v, const struct profile *p, const char *const more[],
                          unsigned words, struct profile_request *ret);
/* The member `key` of `v`: what each of the names (NULL-terminated) becomes, by default itself. */
void profile_read_words(struct reader *r, struct value v, const char *key, const char *const names[],
                        struct json_object **ret);
/* A request that asks, with its body. */
bool profile_read_poll(struct reader *r, struct value v, const struct profile *p, struct profile_request *ret);
/* An announcement, probe, …: without a body there would be nothing in it. */
void profile_read_body(struct reader *r, struct value v, const struct profile *p, unsigned words,
                       struct profile_request *ret);
/* Puts a copy into *ret; out of memory is kept with the mistakes. */
void profile_copy(struct reader *r, const char *text, char **ret);
