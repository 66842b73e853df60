/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "job.h"

#include <errno.h>
#include <string.h>

struct job *job_new(enum job_kind kind, struct gatehouse_device *device)
{
    struct job *j = calloc(1, sizeof(*j));

    if (!j)
        return NULL;
    j->kind = kind;
    j->device = device;
    j->fd = -EBADF;
    j->value.type = j->result.type = SAMPLE_BOOL;
    return j;
}

struct job *job_free(struct job *j)
{
    if (!j)
        return NULL;
    sample_value_done(&j->value);
    sample_value_done(&j->result);
    for (size_t i = 0; i < j->n_values; i++)
        sample_value_done(&j->values[i]);
    free(j->values);
    for (size_t i = 0; i < j->n_writes; i++)
        sample_value_done(&j->writes[i].value);
    free(j->writes);
    free(j->options);
    free(j->kept);
    safe_close(j->fd);
    json_object_put(j->found);
    free(j);
    return NULL;
}

struct gatehouse_value value_to_plugin(const struct sample_value *v)
{
    struct gatehouse_value to = {.type = (enum gatehouse_type)v->type};

    switch (v->type) {
    case SAMPLE_BOOL:
        to.b = v->b;
        break;
    case SAMPLE_INT:
        to.x = v->x;
        break;
    case SAMPLE_UINT:
        to.t = v->t;
        break;
    case SAMPLE_DOUBLE:
        to.d = v->d;
        break;
    case SAMPLE_STRING:
        to.s = v->s;
        break;
    }
    return to;
}

struct sample_value value_from_plugin(const struct gatehouse_value *v)
{
    struct sample_value from = {.type = (enum sample_type)v->type};

    switch (v->type) {
    case GATEHOUSE_BOOL:
        from.b = v->b;
        break;
    case GATEHOUSE_INT:
        from.x = v->x;
        break;
    case GATEHOUSE_UINT:
        from.t = v->t;
        break;
    case GATEHOUSE_DOUBLE:
        from.d = v->d;
        break;
    case GATEHOUSE_STRING:
        from.s = v->s;
        break;
    }
    return from;
}

void job_take_result(struct job *j, const struct gatehouse_value *value)
{
    struct sample_value v = value_from_plugin(value);

    if (j->r < 0)
        return;
    if (!sample_value_valid(&v)) {
        j->r = -EBADMSG;
        strncpy(j->error, "the plugin gave a value that is not allowed", sizeof(j->error) - 1);
        return;
    }
    j->r = sample_value_copy(&v, &j->result);
}
