/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Which advertisements are a format's. */

#include "decoder-internal.h"

#include <string.h>

static bool is_company(const struct match *m, uint16_t company)
{
    for (size_t i = 0; i < m->n_companies; i++)
        if (m->companies[i] == company)
            return true;
    return false;
}

static bool name_matches(const struct match *m, const char *name)
{
    for (size_t i = 0; i < m->n_names; i++)
        if (name && strncmp(name, m->names[i], strlen(m->names[i])) == 0)
            return true;
    return m->n_names == 0;
}

static bool is_advertised(const struct match *m, const struct advert *a)
{
    struct ble_uuid uuid;

    for (size_t i = 0; m->has_advertised && i < a->n_uuids; i++)
        if (uuid_parse(a->uuids[i], &uuid) == 0 && uuid_equal(&uuid, &m->advertised))
            return true;
    return !m->has_advertised;
}

static bool bytes_match(const struct match *m, const uint8_t *bytes, size_t n)
{
    if (n < m->length_min || n > m->length_max)
        return false;
    for (size_t i = 0; i < m->n_bytes; i++) {
        const struct match_bytes *b = &m->bytes[i];
        if (n < b->at || n - b->at < b->n || memcmp(bytes + b->at, b->bytes, b->n) != 0)
            return false;
    }
    return field_conditions_hold(m->when, m->n_when, bytes, n);
}

static bool take(const struct match *m, const uint8_t *bytes, size_t n, uint8_t *buffer, size_t *ret_n)
{
    if (n > ADVERT_PAYLOAD_MAX || !bytes_match(m, bytes, n))
        return false;
    if (n > 0)
        memcpy(buffer, bytes, n);
    *ret_n = n;
    return true;
}

static bool take_manufacturer(const struct match *m, const struct advert *a, uint8_t *buffer, size_t *ret_n)
{
    for (size_t i = 0; i < a->n_manufacturer; i++) {
        const struct advert_manufacturer *e = &a->manufacturer[i];
        uint8_t whole[ADVERT_PAYLOAD_MAX] = {(uint8_t)e->company, (uint8_t)(e->company >> 8)};
        bool is_data = m->source == SOURCE_COMPANY_IS_DATA;

        if (e->n > sizeof whole - 2 || (!is_data && !is_company(m, e->company)))
            continue;
        if (e->n > 0)
            memcpy(whole + 2, e->bytes, e->n);
        if (take(m, is_data ? whole : whole + 2, is_data ? e->n + 2 : e->n, buffer, ret_n))
            return true;
    }
    return false;
}

static bool take_service(const struct match *m, const struct advert *a, uint8_t *buffer, size_t *ret_n)
{
    struct ble_uuid uuid;

    for (size_t i = 0; i < a->n_service; i++)
        if (uuid_parse(a->service[i].uuid, &uuid) == 0 && uuid_equal(&uuid, &m->service) &&
            take(m, a->service[i].bytes, a->service[i].n, buffer, ret_n))
            return true;
    return false;
}

/* A bit for each thing that is compared, so that the format that asks for more goes first. */
static unsigned particularity(const struct match *m)
{
    unsigned compared = 1;

    compared += m->source != SOURCE_COMPANY_IS_DATA ? 4 : 0;
    compared += (unsigned)(2 * m->n_bytes + 2 * m->n_when);
    for (size_t i = 0; i < m->n_bytes; i++)
        compared += (unsigned)m->bytes[i].n;
    compared += (m->n_names > 0 ? 2 : 0) + (m->has_advertised ? 1 : 0);
    return compared + (m->length_min == m->length_max ? 2 : 0);
}

unsigned decoder_match(const struct decoder *d, const struct advert *advert, uint8_t buffer[ADVERT_PAYLOAD_MAX],
                       size_t *ret_n)
{
    const struct match *m = &d->match;
    bool found = false;

    if (m->source == SOURCE_NONE || !name_matches(m, advert->name) || !is_advertised(m, advert))
        return 0;
    if (m->source == SOURCE_SERVICE)
        found = take_service(m, advert, buffer, ret_n);
    else
        found = take_manufacturer(m, advert, buffer, ret_n);
    return found ? particularity(m) : 0;
}
