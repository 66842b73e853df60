/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "device/walk.h"

#include "base/clock.h"
#include "base/limits.h"
#include "device/internal.h"

int walk_init(struct fleet *f, struct walk *w, sd_event_handler_t handler)
{
    int r = sd_event_add_defer(f->event, &w->source, handler, f);

    return r < 0 ? r : sd_event_source_set_enabled(w->source, SD_EVENT_OFF);
}

void walk_begin(struct walk *w)
{
    w->next = 0;
    (void)sd_event_source_set_enabled(w->source, SD_EVENT_ON);
}

int walk_on(struct fleet *f, struct walk *w, void (*visit)(struct device *d))
{
    uint64_t until = clock_boottime() + TURN_BUDGET;

    for (int i = 0; i < WALK_PER_TURN && w->next < f->index.n && clock_boottime() < until; i++)
        visit(f->index.devices[w->next++]);
    return w->next < f->index.n ? 0 : sd_event_source_set_enabled(w->source, SD_EVENT_OFF);
}

void walk_shift(struct walk *w, size_t i, int by)
{
    if (i < w->next)
        w->next += (size_t)by;
}

void fleet_kick_all(struct fleet *f)
{
    walk_begin(&f->walks.kick);
}
