/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The management calls, without HTTP: a request in, an answer out, the store changed.
 *
 * Golioth, if there is a project P (header x-api-key; errors {"code":n,"message":s,"details":[]}, n of gRPC):
 *
 *     POST   /v1/projects/P/provisioning                 {name,hardwareIds[],identity,preSharedKey,type}
 *                                                        200 {"data":{"deviceId":s}}
 *     GET    /v1/projects/P/devices?hardwareId= &deviceName= &page= (from 0) &perPage= (1..100, 100 unless given)
 *                                                        200 {"list":[...],"page":n,"perPage":n,"total":n}
 *     GET    /v1/projects/P/devices/D                    200 {"data":{...}}
 *     GET    /v1/projects/P/devices/D/credentials        200 {"list":[{id,identity,type}]}
 *     POST   /v1/projects/P/devices/D/credentials        {identity,preSharedKey,type}  200 {"data":{id,identity,type}}
 *     DELETE /v1/projects/P/devices/D/credentials/ID     200 {}
 *
 * An identity is given without "@P" or with it, and shown with it: that is what the device says. The key is the bytes
 * of the text. Both are unique in the project: 409 otherwise, also when the very same comes again. The real cloud shows
 * keys, this one does not: nobody is to depend on reading one back.
 *
 * Hono, if there is a tenant T (header authorization: Bearer, or Basic where the key file holds user:password; errors
 * {"error":s}):
 *
 *     POST /v1/devices/T/D                               201 {"id":s}; 409 it is there
 *     GET  /v1/devices/T/D                               200 {}
 *     GET  /v1/credentials/T/D                           200 [...] without keys, ETag; 404 no such device
 *     PUT  /v1/credentials/T/D                           the whole set; 204, ETag; 412 If-Match does not; 409 an
 * auth-id is another device's
 *
 * Pure except for the store and the events of credentials. One thread. */

#include "store.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define API_BODY_MAX (64 * 1024)
#define API_PATH_MAX 512

struct api {
    const char *project; /* NULL: no Golioth calls */
    const char *tenant;  /* NULL: no Hono calls */
};

struct api_request {
    const char *method;
    const char *path;   /* decoded */
    json_object *query; /* an object of strings; NULL: none */
    const char *content_type;
    const char *if_match;
    const char *x_api_key;
    const char *authorization;
    const char *body;
    size_t size;
    bool silent; /* no events */
};

struct api_answer {
    unsigned status;
    json_object *body; /* owned; NULL: none */
    char etag[VERSION_LENGTH + 1];
    bool authenticate; /* with WWW-Authenticate */
};

void api_answer_done(struct api_answer *a);

/* `key`: what requests must bring; NULL: they may come without. */
void api_run(const struct api *api, struct store *s, const struct api_request *q, const char *key,
             struct api_answer *ret);
/* An error in the words of the cloud whose path it is. */
void api_refuse(const struct api *api, const char *path, unsigned status, const char *reason, struct api_answer *ret);
/* The device that a path is about; NULL: none, or unknown. */
const struct device *api_device(const struct api *api, struct store *s, const char *path);

/* For golioth.c and hono.c: */
#define API_SEGMENTS_MAX 8

struct api_path {
    char text[API_PATH_MAX + 1];
    const char *segments[API_SEGMENTS_MAX];
    size_t count;
};

/* Tells which credentials of a device came, changed and went; `before` by api_credentials(). */
json_object *api_credentials(const struct device *d);
void api_tell_changes(const struct device *d, json_object *before);

void golioth_refuse(unsigned status, const char *reason, struct api_answer *ret);
void golioth_run(const char *project, struct store *s, const struct api_request *q, const struct api_path *p,
                 struct api_answer *ret);
void hono_refuse(unsigned status, const char *reason, struct api_answer *ret);
void hono_run(const char *tenant, struct store *s, const struct api_request *q, const struct api_path *p,
              struct api_answer *ret);
