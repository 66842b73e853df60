/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/cleanup.h"
#include "rotation/machine.h"
#include "rotation/number.h"

#include <errno.h>
#include <string.h>

/* Version 1: version, state, flags (16 bits), three stamps of boot id, boottime, realtime; numbers big-endian. */
#define VERSION 1
#define STAMP_SIZE (16 + 8 + 8)
#define BLOB_SIZE (1 + 1 + 2 + 3 * STAMP_SIZE)
#define N_FLAGS 11

static void flags_of(struct rotation_durable *d, bool *ret[N_FLAGS])
{
    bool *const flags[N_FLAGS] = {&d->has_main,    &d->has_backup, &d->main_id,    &d->backup_id,
                                  &d->compromised, &d->wanted,     &d->retire_now, &d->give_up,
                                  &d->removing,    &d->conflict,   &d->unsettled};

    memcpy(ret, flags, sizeof(flags));
}

static uint8_t *put_stamp(uint8_t *p, const struct stamp *s)
{
    memcpy(p, s->boot, sizeof(s->boot));
    return put_number(put_number(p + sizeof(s->boot), s->boottime), s->realtime);
}

static const uint8_t *get_stamp(const uint8_t *p, struct stamp *s)
{
    memcpy(s->boot, p, sizeof(s->boot));
    s->boottime = get_number(p + 16);
    s->realtime = get_number(p + 24);
    return p + STAMP_SIZE;
}

ssize_t rotation_encode(const struct rotation_durable *d, uint8_t *blob, size_t size)
{
    struct rotation_durable copy = *d;
    bool *flags[N_FLAGS];
    unsigned bits = 0;
    uint8_t *p = blob;

    if (size < BLOB_SIZE)
        return -ENOBUFS;
    flags_of(&copy, flags);
    for (unsigned i = 0; i < N_FLAGS; i++)
        bits |= (unsigned)*flags[i] << i;
    *p++ = VERSION;
    *p++ = (uint8_t)d->state;
    *p++ = (uint8_t)(bits >> 8);
    *p++ = (uint8_t)bits;
    p = put_stamp(put_stamp(put_stamp(p, &d->entered), &d->main_since), &d->backup_since);
    return p - blob;
}

/* What no commit of ours can have written. */
static bool contradicts(const struct rotation_durable *d)
{
    bool two = d->state != ROTATION_IDLE && !(d->state == ROTATION_RETIRING && d->removing);

    if ((two && !(d->has_main && d->has_backup)) || (d->state == ROTATION_IDLE && d->has_backup))
        return true;
    if (d->state == ROTATION_RETIRING && !d->has_main)
        return true;
    return (d->main_id && !d->has_main) || (d->backup_id && !d->has_backup);
}

int rotation_decode(const void *blob, size_t n, struct rotation_durable *ret)
{
    const uint8_t *p = blob;
    struct rotation_durable d = {0};
    bool *flags[N_FLAGS];
    unsigned bits;

    if (n < 1)
        return -EINVAL;
    if (p[0] != VERSION)
        return -EPROTONOSUPPORT;
    if (n != BLOB_SIZE || p[1] >= ROTATION_STATES)
        return -EINVAL;
    bits = (unsigned)p[2] << 8 | p[3];
    if (bits >> N_FLAGS)
        return -EINVAL;
    d.state = p[1];
    flags_of(&d, flags);
    for (unsigned i = 0; i < N_FLAGS; i++)
        *flags[i] = bits >> i & 1;
    get_stamp(get_stamp(get_stamp(p + 4, &d.entered), &d.main_since), &d.backup_since);
    if (contradicts(&d))
        return -EINVAL;
    *ret = d;
    return 0;
}
