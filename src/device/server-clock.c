/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "device/server-clock.h"

#include "base/limits.h"

enum server_clock_verdict server_clock_take(struct server_clock *c, uint64_t asked, uint64_t now, uint64_t time)
{
    uint64_t round_trip = now - asked;

    if (time < SERVER_TIME_MIN || time > SERVER_TIME_MAX)
        return SERVER_CLOCK_IMPLAUSIBLE;
    if (round_trip > SERVER_TIME_WORST)
        return SERVER_CLOCK_SLOW;
    if (c->answers == 0 || round_trip < c->round_trip) {
        c->offset = (int64_t)(time - (asked + round_trip / 2));
        c->round_trip = round_trip;
    }
    c->answers++;
    if (round_trip > SERVER_TIME_GOOD && c->answers < SERVER_TIME_ANSWERS)
        return SERVER_CLOCK_MORE;
    c->answers = 0;
    return SERVER_CLOCK_SETTLED;
}
