/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "counts.h"

#include "base/limits.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

void counts_init(struct counts *c)
{
    *c = (struct counts){.list = NULL};
    pthread_mutex_init(&c->mutex, NULL);
}

void counts_done(struct counts *c)
{
    free(c->list);
    pthread_mutex_destroy(&c->mutex);
}

static bool name_valid(const char *name)
{
    size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_");

    return n > 0 && n <= COUNT_NAME_MAX && name[n] == 0;
}

/* With the mutex. */
static int add(struct counts *c, const char *name, uint64_t value)
{
    struct count *list;

    if (!name_valid(name))
        return -EINVAL;
    if (c->n == DEVICE_COUNTS_MAX)
        return -ENOSPC;
    list = reallocarray(c->list, c->n + 1, sizeof(*list));
    if (!list)
        return -ENOMEM;
    c->list = list;
    list[c->n] = (struct count){.value = value};
    memcpy(list[c->n++].name, name, strlen(name) + 1);
    return 0;
}

int counts_set(struct counts *c, const char *name, uint64_t value)
{
    size_t i = 0;
    int r = 0;

    pthread_mutex_lock(&c->mutex);
    while (i < c->n && strcmp(c->list[i].name, name) != 0)
        i++;
    if (i < c->n)
        c->list[i].value = value;
    else
        r = add(c, name, value);
    pthread_mutex_unlock(&c->mutex);
    return r;
}

json_object *counts_json(struct counts *c)
{
    json_object *o = json_object_new_object();

    pthread_mutex_lock(&c->mutex);
    for (size_t i = 0; o && i < c->n; i++) {
        json_object *value = json_object_new_uint64(c->list[i].value);

        if (!value || json_object_object_add(o, c->list[i].name, value) < 0) {
            json_object_put(value);
            json_object_put(o);
            o = NULL;
        }
    }
    pthread_mutex_unlock(&c->mutex);
    return o;
}
