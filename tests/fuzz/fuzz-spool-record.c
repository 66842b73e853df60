/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A row of spool.db: what is decoded is valid, and decodes to the same after it was encoded again. */
#include "base/id.h"
#include "spool/record.h"

#include <stdlib.h>
#include <string.h>

struct again {
    struct record_buffer buffer;
    struct record_points points;
    uint64_t previous;
    size_t n;
    char names[256][80];
};

static int encode(const struct sample *s, void *userdata)
{
    struct again *a = userdata;
    uint16_t number = 0;

    if (!id_valid(s->point) || !sample_unit_valid(s->unit) || !sample_value_valid(&s->value) ||
        (s->quality & ~(uint32_t)SAMPLE_QUALITY_ALL))
        abort();
    while (number < a->points.n && strcmp(a->names[number], s->point) != 0)
        number++;
    if (number < 256)
        strcpy(a->names[number], s->point);
    if (record_add(&a->buffer, &a->points, number, s, &a->previous) < 0)
        abort();
    a->n++;
    return 0;
}

static int nothing(const struct sample *s, void *userdata)
{
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct again a;
    struct record_head head, other;

    if (size < 1 || record_head(data + 1, size - 1, &head) < 0)
        return 0;
    a.buffer.size = a.points.n = a.n = 0;
    a.previous = head.last;
    if (record_begin(&a.buffer, &head) < 0)
        abort();
    if (record_decode(data + 1, size - 1, data[0], encode, &a) >= 0 &&
        (record_head(a.buffer.data, a.buffer.size, &other) < 0 || other.last != head.last || other.boot != head.boot ||
         record_decode(a.buffer.data, a.buffer.size, a.n, nothing, NULL) < 0))
        abort();
    return 0;
}
