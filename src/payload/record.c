/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Samples as records of the profile's own making. */
#include "payload/internal.h"
#include "payload/senml.h"

#include <errno.h>
#include <string.h>

size_t record_run(const struct sample *samples, size_t n)
{
    size_t k = 1;

    while (k < n && strcmp(samples[k].point, samples[0].point) == 0 &&
           strcmp(quality_suffix(samples[k].quality), quality_suffix(samples[0].quality)) == 0)
        k++;
    return k;
}

/* A point may be called what the record calls something else. */
static bool sayable(const struct profile *p, const struct meanings *m, const struct sample *s)
{
    struct meanings one = *m;
    char name[SAMPLE_NAME_MAX];

    if (!sample_sayable(s))
        return false;
    meanings_sample(&one, s, name);
    return !template_collides(p->record.json, &one);
}

/* How many samples from the first on may be in one record. */
static size_t group(const struct profile *p, const struct meanings *m, const struct sample *samples, size_t n)
{
    size_t k = 1;

    if (!p->record.group_time)
        return 1;
    for (; k < n && samples[k].time == samples[0].time && sayable(p, m, &samples[k]); k++)
        for (size_t i = 0; i < k; i++)
            if (strcmp(samples[i].point, samples[k].point) == 0)
                return k;
    return k;
}

static void write_record(struct writer *w, const struct profile *p, const struct meanings *m,
                         const struct sample *samples, size_t n)
{
    struct meanings here = *m;
    char name[SAMPLE_NAME_MAX];

    meanings_time(&here, samples[0].time);
    if (p->record.group_time) {
        here.samples = samples;
        here.n = n;
    } else
        meanings_sample(&here, &samples[0], name);
    template_json(w, p->record.json, &here);
}

struct pack {
    const struct profile *p;
    const struct meanings *m;
    struct writer w;
    size_t records, max;
};

/* The size of the whole pack, in bytes, with one more record. */
static size_t whole_size(const struct pack *k)
{
    bool array =
        k->p->record.batch == PROFILE_BATCH_ARRAY || (k->p->record.batch == PROFILE_BATCH_WHEN_MANY && k->records > 0);

    return k->w.out.length + (array ? writer_array_size(&k->w, k->records + 1) : 0);
}

/* Adds a record of n samples if that fits. */
static bool add(struct pack *k, const struct sample *samples, size_t n)
{
    size_t before = k->w.out.length;
    bool comma = k->w.comma;

    write_record(&k->w, k->p, k->m, samples, n);
    if (whole_size(k) <= k->max)
        return true;
    k->w.out.length = before;
    k->w.comma = comma;
    return false;
}

/* The first record, of as many of its n samples as fit: between `fits`, which do, and those that do not. */
static size_t add_part(struct pack *k, const struct sample *samples, size_t n)
{
    size_t fits = 0, too_many = n;

    while (too_many - fits > 1) {
        size_t middle = fits + (too_many - fits) / 2;

        if (add(k, samples, middle))
            fits = middle;
        else
            too_many = middle;
        k->w.out.length = 0;
        k->w.comma = false;
    }
    return fits > 0 && add(k, samples, fits) ? fits : 0;
}

ssize_t record_pack(const struct profile *p, struct meanings *m, const struct sample *samples, size_t n, size_t max,
                    char **ret_body, size_t *ret_size)
{
    struct pack k = {.p = p, .m = m, .max = max, .w = {.cbor = content_format_cbor(p->telemetry.content_format)}};
    size_t taken = 0;
    int r;

    if (n == 0 || !sayable(p, m, &samples[0]))
        return -EINVAL;
    while (taken < n && sayable(p, m, &samples[taken]) && !k.w.out.failed) {
        size_t size = group(p, m, &samples[taken], n - taken);

        if (!add(&k, &samples[taken], size)) {
            if (k.records == 0)
                taken = add_part(&k, samples, size);
            k.records += k.records == 0 && taken > 0;
            break;
        }
        taken += size;
        k.records++;
        if (p->record.batch == PROFILE_BATCH_SINGLE)
            break;
    }
    r = k.w.out.failed ?: taken == 0 ? -EMSGSIZE : 0;
    if (r >= 0) {
        if (p->record.batch == PROFILE_BATCH_ARRAY || k.records > 1)
            writer_prepend_array(&k.w, k.records);
        *ret_size = k.w.out.length;
        r = strbuf_take(&k.w.out, ret_body);
    }
    strbuf_done(&k.w.out);
    return r < 0 ? r : (ssize_t)taken;
}
