/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "signal.h"

#include <math.h>

struct gatehouse_value sim_signal_at(const struct sim_point *p, uint64_t now, uint64_t n, double random)
{
    double phase = (double)(now % p->period) / (double)p->period, y = 0;

    switch (p->signal) {
    case SIM_SINE:
        y = sin(2 * M_PI * phase);
        break;
    case SIM_SQUARE:
        y = phase < 0.5 ? 1 : -1;
        break;
    case SIM_SAW:
        y = 2 * phase - 1;
        break;
    case SIM_RANDOM:
        y = 2 * random - 1;
        break;
    case SIM_COUNTER:
        return (struct gatehouse_value){.type = GATEHOUSE_UINT, .t = n};
    case SIM_CONSTANT:
    case SIM_KEY_BYTES:
    case SIM_KEY_TIMES:
        return p->value;
    }
    return (struct gatehouse_value){.type = GATEHOUSE_DOUBLE, .d = p->offset + p->amplitude * y};
}
