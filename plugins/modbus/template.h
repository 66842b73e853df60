/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Device templates: a file NAME.json with the points of a kind of device, and how it wants to be talked to. What the
 * device's own configuration says goes first, key by key. Any thread; reads one small file. */

#include <gatehouse/plugin.h>

/* The administrator's directory, then the package's; GATEHOUSE_MODBUS_TEMPLATES in the environment names another
 * instead of both. */
#define TEMPLATE_DIR_ADMIN "/etc/gatehouse/modbus"

/* A device's section and points with its template's put in. All of it is owned here. */
struct template
{
    char *name;
    char *section;
    struct gatehouse_point *points;
    size_t n_points;
};

/* 1 with *ret; 0 if the section names no template; -EINVAL after a complaint, -ENOMEM. */
int template_apply(const char *section, const struct gatehouse_point *points, size_t n_points,
                   gatehouse_complain complain, void *context, struct template *ret);
void template_done(struct template *t);
