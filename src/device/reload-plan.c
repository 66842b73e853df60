/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "device/reload-plan.h"

#include "base/limits.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct planner {
    const struct config *after;
    const struct reload_view *view;
    struct config_diff diff;
    bool *same;    /* by the order of after's uplinks: its sessions may go on */
    size_t device; /* of the diff's, that comes next */
};

static void judge_uplinks(struct planner *p)
{
    for (size_t i = 0; i < p->after->n_uplinks; i++) {
        const struct config_uplink *u = p->after->uplinks[i];
        bool listed = false;

        for (size_t k = 0; k < p->diff.n_uplinks && !listed; k++)
            listed = p->diff.uplinks[k].after == u;
        p->same[i] = !listed && p->view->profile_same(u->name, p->view->userdata);
    }
}

static bool uplink_same(const struct planner *p, const char *name)
{
    for (size_t i = 0; i < p->after->n_uplinks; i++)
        if (strcmp(p->after->uplinks[i]->name, name) == 0)
            return p->same[i];
    return false;
}

/* The differences of the device with that id. They and the devices are in the same order. */
static unsigned changes_of(struct planner *p, const char *id)
{
    const struct config_device_diff *d = p->device < p->diff.n_devices ? &p->diff.devices[p->device] : NULL;

    if (!d || strcmp((d->before ?: d->after)->id, id) != 0)
        return 0;
    p->device++;
    return d->what;
}

static enum reload_what judge(const struct planner *p, const struct reload_step *step)
{
    if (!step->after)
        return RELOAD_REMOVE;
    if (!p->view->runs(step->id, p->view->userdata))
        return RELOAD_ADD;
    if (step->changes & (CONFIG_DEVICE_UPLINK | CONFIG_DEVICE_NAMES) || !uplink_same(p, step->after->uplink))
        return RELOAD_REMAKE;
    return RELOAD_KEEP;
}

static void judge_devices(struct planner *p, const struct config *before, struct reload_plan *plan)
{
    size_t i = 0, k = 0;

    while (i < before->n_devices || k < p->after->n_devices) {
        struct config_device *a = i < before->n_devices ? before->devices[i] : NULL;
        struct config_device *b = k < p->after->n_devices ? p->after->devices[k] : NULL;
        int order = !a ? 1 : !b ? -1 : strcmp(a->id, b->id);
        struct reload_step *step = &plan->steps[plan->n];

        *step = (struct reload_step){.before = order <= 0 ? a : NULL, .after = order >= 0 ? b : NULL};
        step->id = (step->before ?: step->after)->id;
        step->changes = changes_of(p, step->id);
        step->what = judge(p, step);
        i += order <= 0;
        k += order >= 0;
        plan->n++;
    }
}

int reload_plan(const struct config *before, const struct config *after, const struct reload_view *view,
                struct reload_plan *ret)
{
    struct planner p = {.after = after, .view = view};
    struct reload_plan plan = {.steps = calloc(before->n_devices + after->n_devices + 1, sizeof(*plan.steps))};
    int r = plan.steps ? config_diff(before, after, &p.diff) : -ENOMEM;

    p.same = calloc(after->n_uplinks + 1, sizeof(*p.same));
    if (r >= 0 && !p.same)
        r = -ENOMEM;
    if (r >= 0) {
        judge_uplinks(&p);
        judge_devices(&p, before, &plan);
        plan.global = p.diff.global;
        *ret = plan;
    } else {
        free(plan.steps);
    }
    config_diff_done(&p.diff);
    free(p.same);
    return r;
}

void reload_plan_done(struct reload_plan *plan)
{
    free(plan->steps);
    *plan = (struct reload_plan){0};
}

bool reload_wants_check(const struct reload_step *step)
{
    return step->after && (!step->before || step->changes & CONFIG_DEVICE_DRIVER);
}

bool reload_ends(const struct reload_step *step)
{
    return step->what == RELOAD_REMAKE || step->what == RELOAD_REMOVE;
}
