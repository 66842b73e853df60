/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hono-set.h"

#include "registrar/answer.h"

#include <stdio.h>
#include <string.h>

int hono_auth_id(const char *identity, const char *tenant, char ret[IDENTITY_MAX + 1])
{
    const char *at = strrchr(identity, '@');

    if (!at || at == identity || strcmp(at + 1, tenant) != 0 || (size_t)(at - identity) > IDENTITY_MAX)
        return -EINVAL;
    memcpy(ret, identity, (size_t)(at - identity));
    ret[at - identity] = 0;
    return 0;
}

bool hono_set_valid(json_object *set)
{
    if (!json_object_is_type(set, json_type_array))
        return false;
    for (size_t i = 0; i < json_object_array_length(set); i++)
        if (!json_object_is_type(json_object_array_get_idx(set, i), json_type_object))
            return false;
    return true;
}

static bool holds(json_object *entry, const char *key, const char *text)
{
    const char *stands = json_get_string(entry, key);

    return stands && strcmp(stands, text) == 0;
}

static json_object *find_entry(json_object *set, const char *auth_id, size_t *ret_index)
{
    for (size_t i = 0; i < json_object_array_length(set); i++) {
        json_object *entry = json_object_array_get_idx(set, i);

        if (holds(entry, "type", "psk") && holds(entry, "auth-id", auth_id)) {
            *ret_index = i;
            return entry;
        }
    }
    return NULL;
}

static json_object *secrets_of(json_object *entry)
{
    json_object *secrets;

    return json_object_object_get_ex(entry, "secrets", &secrets) && json_object_is_type(secrets, json_type_array)
               ? secrets
               : NULL;
}

static const char *id_at(json_object *secrets, size_t i)
{
    json_object *secret = json_object_array_get_idx(secrets, i);
    const char *id = json_object_is_type(secret, json_type_object) ? json_get_string(secret, "id") : NULL;

    return id ?: "";
}

static bool has_secret(json_object *secrets, const char *id)
{
    for (size_t i = 0; id[0] && i < json_object_array_length(secrets); i++)
        if (strcmp(id_at(secrets, i), id) == 0)
            return true;
    return false;
}

enum hono_state hono_look(json_object *set, const char *auth_id, const struct request *q, bool sent,
                          char ret_id[CLOUD_ID_MAX])
{
    size_t index;
    json_object *entry = find_entry(set, auth_id, &index);
    json_object *secrets = entry ? secrets_of(entry) : NULL;
    const char *first;

    ret_id[0] = 0;
    if (!secrets || json_object_array_length(secrets) == 0)
        return HONO_NONE;
    if (has_secret(secrets, q->cloud_id)) {
        snprintf(ret_id, CLOUD_ID_MAX, "%s", q->cloud_id);
        return HONO_OURS;
    }
    /* The registry tries the first one only. */
    first = id_at(secrets, 0);
    if (answer_id_valid(first))
        snprintf(ret_id, CLOUD_ID_MAX, "%s", first);
    /* Under one identity the other credential's secret says that ours is not there. With neither id known (a key that
     * was set by hand) it cannot be told which of the two it is, and writing ours again does no harm. */
    if (q->replaces && (has_secret(secrets, q->other_id) || (!q->other_id[0] && !q->cloud_id[0])))
        return HONO_DISPLACED;
    return sent && !q->cloud_id[0] ? HONO_OURS : HONO_FOREIGN;
}

static json_object *new_secrets(const char *key)
{
    json_object *secret = json_object_new_object(), *secrets = json_object_new_array();

    if (secret && secrets && json_object_object_add(secret, "key", json_object_new_string(key)) == 0 &&
        json_object_array_add(secrets, secret) == 0)
        return secrets;
    json_object_put(secret);
    json_object_put(secrets);
    return NULL;
}

int hono_put(json_object *set, const char *auth_id, const char *key)
{
    size_t index;
    json_object *entry = find_entry(set, auth_id, &index), *secrets = new_secrets(key);

    if (!secrets)
        return -ENOMEM;
    if (entry)
        return json_object_object_add(entry, "secrets", secrets) == 0 ? 0 : -ENOMEM;
    entry = json_object_new_object();
    if (entry && json_object_object_add(entry, "type", json_object_new_string("psk")) == 0 &&
        json_object_object_add(entry, "auth-id", json_object_new_string(auth_id)) == 0 &&
        json_object_object_add(entry, "secrets", secrets) == 0 && json_object_array_add(set, entry) == 0)
        return 0;
    json_object_put(entry);
    return -ENOMEM;
}

int hono_remove(json_object *set, const char *auth_id, const char *id)
{
    size_t index;
    json_object *entry = find_entry(set, auth_id, &index);
    json_object *secrets = entry ? secrets_of(entry) : NULL;

    if (!secrets || !has_secret(secrets, id))
        return 0;
    for (size_t i = json_object_array_length(secrets); i-- > 0;)
        if (strcmp(id_at(secrets, i), id) == 0)
            json_object_array_del_idx(secrets, i, 1);
    if (json_object_array_length(secrets) == 0)
        json_object_array_del_idx(set, index, 1);
    return 1;
}
