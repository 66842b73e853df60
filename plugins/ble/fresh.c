/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fresh.h"

#include <ctype.h>
#include <string.h>

#define FRESH_MAX (sizeof((struct fresh *)NULL)->entries / sizeof(struct fresh_entry))
#define HASH_START UINT64_C(0xcbf29ce484222325) /* FNV-1a */
#define HASH_FACTOR UINT64_C(0x100000001b3)

static uint64_t hash(uint64_t h, const uint8_t *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        h = (h ^ bytes[i]) * HASH_FACTOR;
    return h;
}

static uint64_t key_of_company(uint16_t company)
{
    const uint8_t bytes[] = {'m', (uint8_t)company, (uint8_t)(company >> 8)};

    return hash(HASH_START, bytes, sizeof bytes);
}

static uint64_t key_of_uuid(const char *uuid)
{
    uint64_t h = hash(HASH_START, (const uint8_t *)"s", 1);

    for (; *uuid; uuid++) {
        uint8_t c = (uint8_t)tolower((unsigned char)*uuid);

        h = hash(h, &c, 1);
    }
    return h;
}

/* Notes it as the latest; whether it is new. The one that was seen longest ago gives way. */
static bool is_new(struct fresh *f, uint64_t key, const uint8_t *bytes, size_t n)
{
    const struct fresh_entry entry = {key, hash(HASH_START, bytes, n)};
    size_t i = 0;
    bool same;

    while (i < f->n && f->entries[i].key != key)
        i++;
    same = i < f->n && f->entries[i].content == entry.content;
    if (i == f->n && f->n < FRESH_MAX)
        f->n++;
    else if (i == f->n)
        i = 0;
    memmove(&f->entries[i], &f->entries[i + 1], (f->n - 1 - i) * sizeof f->entries[0]);
    f->entries[f->n - 1] = entry;
    return !same;
}

void fresh_filter(struct fresh *f, struct advert_manufacturer *manufacturer, size_t *n_manufacturer,
                  struct advert_service *service, size_t *n_service)
{
    size_t n = 0;

    for (size_t i = 0; i < *n_manufacturer; i++)
        if (is_new(f, key_of_company(manufacturer[i].company), manufacturer[i].bytes, manufacturer[i].n))
            manufacturer[n++] = manufacturer[i];
    *n_manufacturer = n;
    n = 0;
    for (size_t i = 0; i < *n_service; i++)
        if (is_new(f, key_of_uuid(service[i].uuid), service[i].bytes, service[i].n))
            service[n++] = service[i];
    *n_service = n;
}

void fresh_forget(struct fresh *f)
{
    f->n = 0;
}
