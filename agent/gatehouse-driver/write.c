/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "write.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static void take_written(struct job *j, const struct gatehouse_value *set)
{
    job_take_result(j, set);
    if (j->r < 0)
        return;
    j->values[j->n_values++] = j->result;
    j->result = (struct sample_value){.type = SAMPLE_BOOL};
}

static void write_each(const struct gatehouse_plugin *plugin, void *device_data, struct job *j)
{
    for (size_t i = 0; i < j->n_writes && j->r >= 0; i++) {
        struct gatehouse_value value = value_to_plugin(&j->writes[i].value), set = value;
        char error[ERROR_TEXT_MAX / 2] = "";

        j->r = plugin->write(device_data, j->writes[i].point, &value, &set, error, sizeof(error));
        if (j->r >= 0)
            take_written(j, &set);
        else
            snprintf(j->error, sizeof(j->error), "%s: %s (%zu of %zu written before)", j->writes[i].point,
                     error[0] ? error : strerror(-j->r), i, j->n_writes);
    }
}

static void write_together(const struct gatehouse_plugin *plugin, void *device_data, struct job *j)
{
    struct gatehouse_write writes[LINK_WRITES_MAX];

    for (size_t i = 0; i < j->n_writes; i++) {
        const struct gatehouse_value value = value_to_plugin(&j->writes[i].value);

        writes[i] = (struct gatehouse_write){.point = j->writes[i].point, .value = value, .set = value};
    }
    j->r = plugin->write_points(device_data, writes, j->n_writes, j->error, sizeof(j->error));
    for (size_t i = 0; i < j->n_writes && j->r >= 0; i++)
        take_written(j, &writes[i].set);
}

void write_points(const struct gatehouse_plugin *plugin, void *device_data, struct job *j)
{
    j->values = calloc(j->n_writes, sizeof(*j->values));
    if (!j->values)
        j->r = -ENOMEM;
    else if (plugin->write_points)
        write_together(plugin, device_data, j);
    else
        write_each(plugin, device_data, j);
}
