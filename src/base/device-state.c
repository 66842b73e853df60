/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/device-state.h"

#include <errno.h>
#include <string.h>

const char *device_state_name(enum device_state state)
{
#define NAME(state, name)                                                                                              \
    case state:                                                                                                        \
        return name;
    switch (state) {
        DEVICE_STATES_EACH(NAME)
    }
#undef NAME
    return "unknown";
}

int device_state_from_name(const char *name)
{
    for (int state = 0; state < DEVICE_STATES; state++)
        if (strcmp(name, device_state_name((enum device_state)state)) == 0)
            return state;
    return -EINVAL;
}
