/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus/timedate.h"

#include "base/cleanup.h"

#include <errno.h>
#include <stdlib.h>

struct question {
    timedate_done *done;
    void *userdata;
};

static int on_answer(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    struct question *q = userdata;
    int synchronized = false;

    if (!sd_bus_message_is_method_error(m, NULL) && sd_bus_message_read(m, "v", "b", &synchronized) < 0)
        synchronized = false;
    q->done(synchronized, q->userdata);
    return 1;
}

int timedate_ask(sd_bus *bus, timedate_done *done, void *userdata, sd_bus_slot **ret_slot)
{
    _cleanup_free_ struct question *q = malloc(sizeof(*q));
    sd_bus_slot *slot;
    int r;

    if (!q)
        return -ENOMEM;
    *q = (struct question){done, userdata};
    r = sd_bus_call_method_async(bus, &slot, "org.freedesktop.timedate1", "/org/freedesktop/timedate1",
                                 "org.freedesktop.DBus.Properties", "Get", on_answer, q, "ss",
                                 "org.freedesktop.timedate1", "NTPSynchronized");
    if (r < 0)
        return r;
    r = sd_bus_slot_set_destroy_callback(slot, free);
    if (r < 0) {
        sd_bus_slot_unref(slot);
        return r;
    }
    TAKE_PTR(q);
    *ret_slot = slot;
    return 0;
}
