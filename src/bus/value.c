/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus/value.h"

#include <errno.h>
#include <string.h>

int bus_append_value(sd_bus_message *m, const struct sample_value *v)
{
    switch (v->type) {
    case SAMPLE_BOOL:
        return sd_bus_message_append(m, "v", "b", (int)v->b);
    case SAMPLE_INT:
        return sd_bus_message_append(m, "v", "x", v->x);
    case SAMPLE_UINT:
        return sd_bus_message_append(m, "v", "t", v->t);
    case SAMPLE_DOUBLE:
        return sd_bus_message_append(m, "v", "d", v->d);
    case SAMPLE_STRING:
        return sd_bus_message_append(m, "v", "s", v->s);
    }
    return -EINVAL;
}

/* `type` is a letter from the wire. */
static int read_basic(sd_bus_message *m, char type, struct sample_value *v)
{
    int32_t i = 0;
    uint32_t u = 0;
    int boolean = 0, r;

    v->type = (enum sample_type)type;
    switch (type) {
    case SAMPLE_BOOL:
        r = sd_bus_message_read_basic(m, type, &boolean);
        v->b = boolean != 0;
        return r;
    case SAMPLE_INT:
        return sd_bus_message_read_basic(m, type, &v->x);
    case SAMPLE_UINT:
        return sd_bus_message_read_basic(m, type, &v->t);
    case SAMPLE_DOUBLE:
        return sd_bus_message_read_basic(m, type, &v->d);
    case SAMPLE_STRING:
        return sd_bus_message_read_basic(m, type, &v->s);
    case SD_BUS_TYPE_INT32:
        r = sd_bus_message_read_basic(m, type, &i);
        *v = (struct sample_value){.type = SAMPLE_INT, .x = i};
        return r;
    case SD_BUS_TYPE_UINT32:
        r = sd_bus_message_read_basic(m, type, &u);
        *v = (struct sample_value){.type = SAMPLE_INT, .x = u};
        return r;
    default:
        return -EINVAL;
    }
}

int bus_read_value(sd_bus_message *m, struct sample_value *ret)
{
    struct sample_value v;
    const char *contents;
    char type;
    int r = sd_bus_message_peek_type(m, &type, &contents);

    if (r < 0)
        return r;
    if (r == 0 || type != SD_BUS_TYPE_VARIANT || strlen(contents) != 1)
        return -EINVAL;
    r = sd_bus_message_enter_container(m, SD_BUS_TYPE_VARIANT, contents);
    if (r >= 0)
        r = read_basic(m, contents[0], &v);
    if (r >= 0)
        r = sd_bus_message_exit_container(m);
    if (r < 0)
        return r;
    if (!sample_value_valid(&v))
        return -EINVAL;
    *ret = v;
    return 0;
}
