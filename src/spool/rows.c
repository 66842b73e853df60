/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "spool/rows.h"

#include "base/cleanup.h"

#include <string.h>

#define ROW_MAX 32 /* four numbers of 64 bits and less */

void spool_rows_done(struct spool_rows *rows)
{
    free(rows->data);
    *rows = (struct spool_rows){0};
}

static uint8_t *put(uint8_t *p, uint64_t x)
{
    for (; x >= 0x80; x >>= 7)
        *p++ = (uint8_t)(x | 0x80);
    *p++ = (uint8_t)x;
    return p;
}

static const uint8_t *get(const uint8_t *p, uint64_t *ret)
{
    uint64_t x = 0;
    unsigned shift = 0;

    for (; *p >= 0x80; shift += 7)
        x |= (uint64_t)(*p++ & 0x7f) << shift;
    *ret = x | (uint64_t)*p++ << shift;
    return p;
}

static int make_room(struct spool_rows *rows)
{
    size_t used = rows->end - rows->begin, room = MAX_OF(rows->room + rows->room / 2, (size_t)4 * ROW_MAX);
    uint8_t *data;

    if (rows->room - rows->end >= ROW_MAX)
        return 0;
    if (rows->begin < rows->room / 2 || rows->begin < ROW_MAX) {
        data = realloc(rows->data, room);
        if (!data)
            return -ENOMEM;
        rows->data = data;
        rows->room = room;
    }
    memmove(rows->data, rows->data + rows->begin, used);
    rows->begin = 0;
    rows->end = used;
    return 0;
}

int spool_rows_push(struct spool_rows *rows, const struct spool_row *row)
{
    int64_t later = (int64_t)row->arrived - (int64_t)rows->last.arrived; /* another boot begins anew */
    uint8_t *p;
    int r = make_room(rows);

    if (r < 0)
        return r;
    p = put(rows->data + rows->end, row->seq - rows->last.seq);
    p = put(p, row->n);
    p = put(p, row->size);
    p = put(p, (uint64_t)later << 1 ^ (uint64_t)(later >> 63));
    rows->end = (size_t)(p - rows->data);
    rows->last = *row;
    rows->samples += row->n;
    rows->count++;
    return 0;
}

bool spool_rows_next(const struct spool_rows *rows, size_t *at, struct spool_row *ret)
{
    const uint8_t *p;
    uint64_t seq, n, size, later;

    if (*at == 0)
        *ret = rows->before;
    if (rows->begin + *at == rows->end)
        return false;
    p = rows->data + rows->begin + *at;
    p = get(p, &seq);
    p = get(p, &n);
    p = get(p, &size);
    p = get(p, &later);
    *at = (size_t)(p - rows->data) - rows->begin;
    *ret = (struct spool_row){
        .seq = ret->seq + seq,
        .n = (uint32_t)n,
        .size = (uint32_t)size,
        .arrived = (uint32_t)((int64_t)ret->arrived + (int64_t)(later >> 1 ^ -(later & 1))),
    };
    return true;
}

bool spool_rows_first(const struct spool_rows *rows, struct spool_row *ret)
{
    size_t at = 0;

    return spool_rows_next(rows, &at, ret);
}

void spool_rows_pop(struct spool_rows *rows)
{
    struct spool_row row;
    size_t at = 0;

    if (!spool_rows_next(rows, &at, &row))
        return;
    rows->begin += at;
    rows->before = row;
    rows->samples -= row.n;
    if (--rows->count == 0)
        spool_rows_done(rows);
}

int spool_rows_prepend(struct spool_rows *rows, const struct spool_row *first, size_t n)
{
    struct spool_rows all = {0};
    struct spool_row row = {0};
    size_t at = 0, left;
    uint8_t *data;
    int r = 0;

    for (size_t i = 0; r >= 0 && i < n; i++)
        r = spool_rows_push(&all, &first[i]);
    if (r >= 0 && spool_rows_next(rows, &at, &row))
        r = spool_rows_push(&all, &row);
    left = rows->end - rows->begin - at;
    data = r >= 0 ? realloc(all.data, all.end + left + ROW_MAX) : NULL;
    if (!data) {
        spool_rows_done(&all);
        return -ENOMEM;
    }
    /* The others are differences to the one before them, as they were. */
    if (rows->count > 1) {
        memcpy(data + all.end, rows->data + rows->begin + at, left);
        all.last = rows->last;
    }
    all.data = data;
    all.room = all.end + left + ROW_MAX;
    all.end += left;
    all.samples = rows->samples + (all.samples - (rows->count > 0 ? row.n : 0));
    all.count = rows->count + (uint32_t)n;
    spool_rows_done(rows);
    *rows = all;
    return 0;
}
