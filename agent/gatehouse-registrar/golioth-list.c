/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "golioth-list.h"

#include "registrar/answer.h"

#include <stdio.h>
#include <string.h>

#define JOINT '~'

json_object *golioth_page(json_object *page, size_t *ret_total)
{
    json_object *list, *total;

    if (!json_object_is_type(page, json_type_object) || !json_object_object_get_ex(page, "list", &list) ||
        !json_object_is_type(list, json_type_array))
        return NULL;
    *ret_total = SIZE_MAX;
    if (json_object_object_get_ex(page, "total", &total) && json_object_is_type(total, json_type_int) &&
        json_object_get_int64(total) >= 0)
        *ret_total = (size_t)json_object_get_int64(total);
    return list;
}

static int take_id(json_object *o, const char *key, char ret_id[CLOUD_ID_MAX])
{
    const char *id = json_object_is_type(o, json_type_object) ? json_get_string(o, key) : NULL;

    if (!id || !answer_id_valid(id) || strchr(id, JOINT))
        return -EBADMSG;
    snprintf(ret_id, CLOUD_ID_MAX, "%s", id);
    return 0;
}

static bool has_hardware_id(json_object *device, const char *hardware_id)
{
    json_object *ids;

    if (!json_object_is_type(device, json_type_object) || !json_object_object_get_ex(device, "hardwareIds", &ids) ||
        !json_object_is_type(ids, json_type_array))
        return false;
    for (size_t i = 0; i < json_object_array_length(ids); i++) {
        json_object *id = json_object_array_get_idx(ids, i);

        if (json_object_is_type(id, json_type_string) && strcmp(json_object_get_string(id), hardware_id) == 0)
            return true;
    }
    return false;
}

int golioth_find_device(json_object *list, const char *hardware_id, char ret_id[CLOUD_ID_MAX])
{
    char id[CLOUD_ID_MAX] = "";

    for (size_t i = 0; i < json_object_array_length(list); i++) {
        json_object *device = json_object_array_get_idx(list, i);

        if (!has_hardware_id(device, hardware_id))
            continue;
        if (id[0])
            return -ENOTUNIQ;
        if (take_id(device, "id", id) < 0)
            return -EBADMSG;
    }
    memcpy(ret_id, id, CLOUD_ID_MAX);
    return 0;
}

static bool same_identity(const char *stands, const char *identity)
{
    size_t local = (size_t)(strrchr(identity, '@') - identity);

    return strcmp(stands, identity) == 0 || (strlen(stands) == local && strncmp(stands, identity, local) == 0);
}

int golioth_find_credential(json_object *list, const char *identity, char ret_id[CLOUD_ID_MAX])
{
    ret_id[0] = 0;
    for (size_t i = 0; i < json_object_array_length(list); i++) {
        json_object *credential = json_object_array_get_idx(list, i);
        const char *stands =
            json_object_is_type(credential, json_type_object) ? json_get_string(credential, "identity") : NULL;

        if (stands && same_identity(stands, identity))
            return take_id(credential, "id", ret_id);
    }
    return 0;
}

int golioth_new_id(json_object *answer, const char *key, char ret_id[CLOUD_ID_MAX])
{
    json_object *data;

    if (!json_object_is_type(answer, json_type_object) || !json_object_object_get_ex(answer, "data", &data))
        return -EBADMSG;
    return take_id(data, key, ret_id);
}

int golioth_local_identity(const char *identity, const char *project, char ret[IDENTITY_MAX + 1])
{
    const char *at = strrchr(identity, '@');

    if (!at || at == identity || strcmp(at + 1, project) != 0 || (size_t)(at - identity) > IDENTITY_MAX)
        return -EINVAL;
    memcpy(ret, identity, (size_t)(at - identity));
    ret[at - identity] = 0;
    return 0;
}

int golioth_join(const char *device, const char *credential, char ret_id[CLOUD_ID_MAX])
{
    char id[2 * CLOUD_ID_MAX + 1];
    int n = snprintf(id, sizeof(id), "%s%c%s", device, JOINT, credential);

    if (n >= CLOUD_ID_MAX)
        return -E2BIG;
    memcpy(ret_id, id, (size_t)n + 1);
    return 0;
}

int golioth_split(const char *id, char ret_device[CLOUD_ID_MAX], char ret_credential[CLOUD_ID_MAX])
{
    const char *joint = strchr(id, JOINT);

    if (!joint || joint == id || !joint[1] || strchr(joint + 1, JOINT) || strlen(id) >= CLOUD_ID_MAX)
        return -EINVAL;
    snprintf(ret_device, CLOUD_ID_MAX, "%.*s", (int)(joint - id), id);
    snprintf(ret_credential, CLOUD_ID_MAX, "%s", joint + 1);
    return 0;
}
