/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/names.h"
#include "bus/internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void job_object_path(const struct job *job, char path[64])
{
    snprintf(path, 64, BUS_PATH_JOB "/%u", job->number);
}

struct job *job_object_find(struct bus *b, const char *path)
{
    const char *number = path + strlen(BUS_PATH_JOB);
    char *end, again[64];
    struct job *job;
    unsigned long n;

    if (strncmp(path, BUS_PATH_JOB "/", strlen(BUS_PATH_JOB) + 1) != 0)
        return NULL;
    n = strtoul(number + 1, &end, 10);
    job = *end || n > UINT32_MAX ? NULL : job_find(fleet_jobs(b->fleet), (uint32_t)n);
    if (!job)
        return NULL;
    job_object_path(job, again);
    return strcmp(again, path) == 0 ? job : NULL; /* not " 1", "+1", "01" */
}

static int find(sd_bus *connection, const char *path, const char *interface, void *userdata, void **ret_found,
                sd_bus_error *error)
{
    struct job *job = job_object_find(userdata, path);

    if (!job)
        return 0;
    *ret_found = job;
    return 1;
}

static int enumerate(sd_bus *connection, const char *prefix, void *userdata, char ***ret_nodes, sd_bus_error *error)
{
    struct bus *b = userdata;
    size_t n = 0, i = 0;
    char **nodes;

    for (struct job *job = job_first(fleet_jobs(b->fleet)); job; job = job->next)
        n++;
    nodes = calloc(n + 1, sizeof(*nodes));
    if (!nodes)
        return -ENOMEM;
    for (struct job *job = job_first(fleet_jobs(b->fleet)); job; job = job->next) {
        char path[64];

        job_object_path(job, path);
        nodes[i] = strdup(path);
        if (!nodes[i++]) {
            while (i-- > 0)
                free(nodes[i]);
            free(nodes);
            return -ENOMEM;
        }
    }
    *ret_nodes = nodes;
    return 0;
}

/* The objects' vtables are found by path, so a handler gets the job, and the bus by way of its connection's slot. */
static struct bus *bus_of(sd_bus_message *m)
{
    return sd_bus_slot_get_userdata(sd_bus_get_current_slot(sd_bus_message_get_bus(m)));
}

static int method_cancel(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    struct bus *b = bus_of(m);
    struct job *job = userdata;
    struct error e = {0};
    int r = policy_check(b, m, job->action, error);

    if (r <= 0)
        return r < 0 ? r : 1;
    r = job_cancel(fleet_jobs(b->fleet), job, &e);
    return bus_reply(m, r, &e);
}

static int get_text(sd_bus *connection, const char *path, const char *interface, const char *property,
                    sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
    const struct job *job = userdata;
    const char *text = "";

    if (strcmp(property, "Kind") == 0)
        text = job->kind;
    else if (strcmp(property, "State") == 0)
        text = job_state_name(job->state);
    else if (strcmp(property, "BatchId") == 0)
        text = job->batch_id;
    return sd_bus_message_append(reply, "s", text);
}

static int append_member(sd_bus_message *m, const char *key, json_object *value)
{
    switch (json_object_get_type(value)) {
    case json_type_boolean:
        return sd_bus_message_append(m, "{sv}", key, "b", json_object_get_boolean(value));
    case json_type_int:
        return sd_bus_message_append(m, "{sv}", key, "x", json_object_get_int64(value));
    case json_type_double:
        return sd_bus_message_append(m, "{sv}", key, "d", json_object_get_double(value));
    case json_type_string:
        return sd_bus_message_append(m, "{sv}", key, "s", json_object_get_string(value));
    case json_type_null:
    case json_type_array:
    case json_type_object:
        break;
    }
    return 0; /* a find has none of these */
}

static int append_found(sd_bus_message *m, json_object *found)
{
    int r = sd_bus_message_open_container(m, 'a', "{sv}");

    json_object_object_foreach (found, key, value)
        if (r >= 0)
            r = append_member(m, key, value);
    return r < 0 ? r : sd_bus_message_close_container(m);
}

int job_object_result(sd_bus_message *m, const struct job_result *result)
{
    if (result->found)
        return append_found(m, result->found);
    return sd_bus_message_append(m, "a{sv}", 3, "device", "s", result->device ?: "", "outcome", "s",
                                 result->outcome ?: "", "reason", "s", result->reason ?: "");
}

static int get_results(sd_bus *connection, const char *path, const char *interface, const char *property,
                       sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
    const struct job *job = userdata;
    int r = sd_bus_message_open_container(reply, 'a', "a{sv}");

    for (size_t i = 0; r >= 0 && i < job->n_results; i++)
        r = job_object_result(reply, &job->results[i]);
    return r < 0 ? r : sd_bus_message_close_container(reply);
}

int job_object_properties(struct bus *b, sd_bus_message *m, void *object)
{
    const struct job *job = object;

    return sd_bus_message_append(m, "{sv}{sv}{sv}{sv}{sv}{sv}", "Kind", "s", job->kind, "State", "s",
                                 job_state_name(job->state), "Done", "u", job->done, "Total", "u", job->total, "Failed",
                                 "u", job->failed, "BatchId", "s", job->batch_id);
}

static const sd_bus_vtable vtable[] = {
    SD_BUS_VTABLE_START(0),
    SD_BUS_METHOD("Cancel", NULL, NULL, method_cancel, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_PROPERTY("Kind", "s", get_text, 0, SD_BUS_VTABLE_PROPERTY_CONST),
    SD_BUS_PROPERTY("State", "s", get_text, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
    SD_BUS_PROPERTY("Done", "u", NULL, offsetof(struct job, done), 0),
    SD_BUS_PROPERTY("Total", "u", NULL, offsetof(struct job, total), 0),
    SD_BUS_PROPERTY("Failed", "u", NULL, offsetof(struct job, failed), 0),
    SD_BUS_PROPERTY("BatchId", "s", get_text, 0, SD_BUS_VTABLE_PROPERTY_CONST),
    /* Of a whole fleet they are long: for who asks for them by name. */
    SD_BUS_PROPERTY("Results", "aa{sv}", get_results, 0, SD_BUS_VTABLE_PROPERTY_EXPLICIT),
    SD_BUS_SIGNAL_WITH_NAMES("Finished", "s", SD_BUS_PARAM(state), 0),
    SD_BUS_VTABLE_END,
};

int job_object_register(struct bus *b)
{
    int r = sd_bus_add_fallback_vtable(b->connection, NULL, BUS_PATH_JOB, BUS_INTERFACE_JOB, vtable, find, b);

    return r < 0 ? r : sd_bus_add_node_enumerator(b->connection, NULL, BUS_PATH_JOB, enumerate, b);
}
