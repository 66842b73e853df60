/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "device/mistakes.h"

#include "device/fleet.h"
#include "device/internal.h"
#include "device/notify.h"
#include "device/sensor.h"

#include <string.h>

int fleet_say_mistakes(int r, const struct mistakes *mistakes, struct error *e)
{
    _cleanup_free_ char *text = NULL;

    if (mistakes->n == 0 || mistakes_format(mistakes, &text) < 0)
        return error_errno(e, r, "the configuration cannot be read");
    return error_set(e, r, "%s", text);
}

static void changed(struct fleet *f)
{
    f->mistakes.version++;
    fleet_changed(f);
}

void mistakes_take(struct mistakes *to, struct mistakes *from)
{
    mistakes_done(to);
    *to = *from;
    *from = (struct mistakes){0};
}

void mistakes_loaded(struct fleet *f)
{
    mistakes_done(&f->mistakes.files);
    mistakes_done(&f->mistakes.refused);
    changed(f);
}

void mistakes_refused(struct fleet *f, const struct mistakes *why, const struct error *e)
{
    mistakes_done(&f->mistakes.refused);
    for (size_t i = 0; i < why->n; i++) {
        const struct mistake *m = &why->list[i];

        mistakes_add(&f->mistakes.refused, m->file, m->line, m->column, m->device, "%s", m->text);
    }
    f->mistakes.refused.n_all = why->n_all;
    if (why->n_all == 0)
        mistakes_add(&f->mistakes.refused, f->config->file, 0, 0, NULL, "reload refused: %s", e->text);
    changed(f);
}

void mistakes_not_started(struct fleet *f, const struct config_device *config, const struct error *e)
{
    mistakes_add(&f->mistakes.files, config->file, 0, 0, config->id, "%s", e->text);
    changed(f);
}

void mistakes_of_plugins(struct fleet *f)
{
    changed(f);
}

/* ── What is shown ── */

static bool same(const struct mistake *a, const struct mistake *b)
{
    return a->line == b->line && a->column == b->column && strcmp(a->file, b->file) == 0 &&
           strcmp(a->text, b->text) == 0;
}

static bool has(const struct mistakes *m, const struct mistake *one)
{
    for (size_t i = 0; i < m->n; i++)
        if (same(&m->list[i], one))
            return true;
    return false;
}

/* A file that was bad at the start is so at a reload. */
static size_t refused_beside(const struct fleet *f)
{
    size_t n = f->mistakes.refused.n_all;

    for (size_t i = 0; i < f->mistakes.refused.n; i++)
        n -= has(&f->mistakes.files, &f->mistakes.refused.list[i]);
    return n;
}

static size_t of_plugins(struct fleet *f, size_t room, fleet_mistake_fn each, void *userdata)
{
    struct mistake m;
    size_t n = 0;

    for (size_t i = 0; i < f->index.n; i++)
        if (sensor_mistake(f->index.devices[i], &m) && n++ < room && each)
            each(&m, userdata);
    return n;
}

size_t fleet_mistakes(struct fleet *f, fleet_mistake_fn each, void *userdata)
{
    size_t n = 0;

    for (size_t i = 0; i < f->mistakes.files.n && n < MISTAKES_MAX; i++, n++)
        if (each)
            each(&f->mistakes.files.list[i], userdata);
    for (size_t i = 0; i < f->mistakes.refused.n && n < MISTAKES_MAX; i++)
        if (!has(&f->mistakes.files, &f->mistakes.refused.list[i]) && n++ < MISTAKES_MAX && each)
            each(&f->mistakes.refused.list[i], userdata);
    return f->mistakes.files.n_all + refused_beside(f) + of_plugins(f, MISTAKES_MAX - n, each, userdata);
}
