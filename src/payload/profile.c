/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "payload/profile.h"

#include "base/durable.h"
#include "base/hash.h"
#include "base/id.h"
#include "base/limits.h"
#include "payload/internal.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

void profile_request_done(struct profile_request *q)
{
    free(q->target);
    free(q->text);
    json_object_put(q->body);
    *q = (struct profile_request){.content_format = -1};
}

static void source_done(struct profile_source *s)
{
    profile_request_done(&s->request);
    profile_request_done(&s->reply);
    profile_request_done(&s->ask);
    for (size_t i = 0; s->locations && s->locations[i]; i++)
        free(s->locations[i]);
    free(s->locations);
    for (size_t i = 0; i < s->n_when; i++) {
        free(s->when[i].pointer);
        json_object_put(s->when[i].value);
    }
    free(s->when);
    json_object_put(s->ignore);
    free(s->id);
    free(s->point);
    for (size_t i = 0; s->values && s->values[i]; i++)
        free(s->values[i]);
    free(s->values);
    free(s->members);
    profile_request_done(&s->report);
    json_object_put(s->report_error);
    for (size_t i = 0; i < PROFILE_OUTCOMES; i++)
        json_object_put(s->status[i]);
}

struct profile *profile_ref(struct profile *p)
{
    p->refs++;
    return p;
}

struct profile *profile_unref(struct profile *p)
{
    if (!p || --p->refs > 0)
        return NULL;
    free(p->name);
    profile_request_done(&p->telemetry);
    profile_request_done(&p->probe.request);
    profile_request_done(&p->will);
    profile_request_done(&p->log.request);
    for (size_t i = 0; i < PROFILE_LEVELS; i++)
        json_object_put(p->log.levels[i]);
    profile_request_done(&p->availability.request);
    for (size_t i = 0; i < SENSOR_STATES; i++)
        json_object_put(p->availability.status[i]);
    for (size_t i = 0; i < p->n_announcements; i++)
        profile_request_done(&p->announcements[i].request);
    free(p->announcements);
    for (size_t i = 0; i < p->n_sources; i++)
        source_done(&p->sources[i]);
    free(p->sources);
    free(p->record.base_name);
    json_object_put(p->record.json);
    json_object_put(p->units);
    free(p->without);
    free(p);
    return NULL;
}

/* "senml" of "/usr/share/gatehouse/profiles/senml.json" */
static char *name_of(const char *file)
{
    const char *base = strrchr(file, '/');
    const char *name = base ? base + 1 : file, *end = strrchr(name, '.');

    return end ? strndup(name, (size_t)(end - name)) : strdup(name);
}

int profile_parse(const char *file, char *text, size_t n, struct profile **ret, struct mistakes *mistakes)
{
    _cleanup_(profile_unrefp) struct profile *p = calloc(1, sizeof(*p));
    _cleanup_(reader_done) struct reader r = {0};
    int k;

    if (!p)
        return -ENOMEM;
    p->refs = 1;
    p->digest = hash_bytes(HASH_BEGIN, text, n);
    p->name = name_of(file);
    if (!p->name)
        return -ENOMEM;
    k = reader_open(&r, file, text, n, mistakes);
    if (k >= 0)
        k = profile_read(&r, p);
    if (k < 0)
        return k;
    *ret = TAKE_PTR(p);
    return 0;
}

int profile_load(const char *const directories[], const char *name, struct profile **ret, struct mistakes *mistakes)
{
    if (!id_valid(name))
        return -ENOENT;
    for (; *directories; directories++) {
        _cleanup_free_ char *path = NULL, *text = NULL;
        struct error e = {""};
        size_t n;
        int r;

        if (asprintf(&path, "%s/%s.json", *directories, name) < 0) {
            path = NULL;
            return -ENOMEM;
        }
        r = file_read(AT_FDCWD, path, CONFIG_FILE_MAX, &text, &n, &e);
        if (r == -ENOENT)
            continue;
        if (r == -ENOMEM)
            return r;
        if (r < 0) {
            mistakes_add(mistakes, path, 0, 0, NULL, "%s", e.text);
            return -EBADMSG;
        }
        return profile_parse(path, text, n, ret, mistakes);
    }
    return -ENOENT;
}

bool profile_same(const struct profile *a, const struct profile *b)
{
    return strcmp(a->name, b->name) == 0 && a->digest == b->digest;
}

enum profile_verdict profile_verdict(const struct profile *p, uint8_t code)
{
    return (enum profile_verdict)p->verdicts[code];
}
