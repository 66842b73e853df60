/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/cleanup.h"
#include "rotation/machine.h"
#include "rotation/number.h"

#include <errno.h>
#include <string.h>

/* Version 1: version, state, flags (16 bits), three stamps of boot id, boottime, realtime; numbers big-endian.
 * Version 2: a flag more (fallen), and a fourth stamp (asked). Written only where these say something, so that an agent
 * of before reads what it can carry on with. Where it cannot, it says that the state is of a later
 * version, and leaves the device offline and the blob as it is: it would offer a key that is only to be tried. */
#define VERSION_1 1
#define VERSION_2 2
#define STAMP_SIZE (16 + 8 + 8)
#define SIZE_1 (1 + 1 + 2 + 3 * STAMP_SIZE)
#define SIZE_2 (SIZE_1 + STAMP_SIZE)
#define N_FLAGS_1 11
#define N_FLAGS 12

static void flags_of(struct rotation_durable *d, bool *ret[N_FLAGS])
{
    bool *const flags[N_FLAGS] = {&d->has_main,    &d->has_backup, &d->main_id,    &d->backup_id,
                                  &d->compromised, &d->wanted,     &d->retire_now, &d->give_up,
                                  &d->removing,    &d->conflict,   &d->unsettled,  &d->fallen};

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

    if (size < (d->dated ? SIZE_2 : SIZE_1))
        return -ENOBUFS;
    flags_of(&copy, flags);
    for (unsigned i = 0; i < N_FLAGS; i++)
        bits |= (unsigned)*flags[i] << i;
    *p++ = d->dated ? VERSION_2 : VERSION_1;
    *p++ = (uint8_t)d->state;
    *p++ = (uint8_t)(bits >> 8);
    *p++ = (uint8_t)bits;
    p = put_stamp(put_stamp(put_stamp(p, &d->entered), &d->main_since), &d->backup_since);
    if (d->dated)
        p = put_stamp(p, &d->asked);
    return p - blob;
}

/* Rejects combinations that no commit of ours writes. */
static bool contradicts(const struct rotation_durable *d)
{
    bool two = d->state != ROTATION_IDLE && !(d->state == ROTATION_RETIRING && d->removing);

    if ((two && !(d->has_main && d->has_backup)) || (d->state == ROTATION_IDLE && d->has_backup))
        return true;
    if (d->state == ROTATION_RETIRING && !d->has_main)
        return true;
    if ((d->fallen && d->state != ROTATION_OFFERED && d->state != ROTATION_ABANDONING) ||
        (stamp_is_set(&d->asked) && !d->unsettled))
        return true;
    return (d->main_id && !d->has_main) || (d->backup_id && !d->has_backup);
}

int rotation_decode(const void *blob, size_t n, struct rotation_durable *ret)
{
    const uint8_t *p = blob;
    struct rotation_durable d = {0};
    bool *flags[N_FLAGS];
    unsigned bits;
    bool v2;

    if (n < 1)
        return -EINVAL;
    if (p[0] != VERSION_1 && p[0] != VERSION_2)
        return -EPROTONOSUPPORT;
    v2 = p[0] == VERSION_2;
    if (n != (v2 ? SIZE_2 : SIZE_1) || p[1] >= ROTATION_STATES)
        return -EINVAL;
    bits = (unsigned)p[2] << 8 | p[3];
    if (bits >> (v2 ? N_FLAGS : N_FLAGS_1))
        return -EINVAL;
    d.state = p[1];
    flags_of(&d, flags);
    for (unsigned i = 0; i < N_FLAGS; i++)
        *flags[i] = bits >> i & 1;
    p = get_stamp(get_stamp(get_stamp(p + 4, &d.entered), &d.main_since), &d.backup_since);
    if (v2)
        get_stamp(p, &d.asked);
    d.dated = v2;
    if (contradicts(&d))
        return -EINVAL;
    *ret = d;
    return 0;
}
