/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* No secret stands in configuration: files are copied, mailed and kept in version control. */
#include "base/limits.h"
#include "config/internal.h"

#include <stdio.h>
#include <string.h>

static const char *const words[] = {
    "psk",     "key",      "secret",  "password", "passwd",  "passphrase", "private_key",
    "psk_key", "bind_key", "bindkey", "api_key",  "api-key", "apikey",     "token",
};

/* Of an uplink: what a broker wants beside the key; to some the user name is the secret. */
static const char *const login_words[] = {"password", "passwd", "token", "username", "user"};

static bool is_one_of(const char *key, const char *const *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strcasecmp(list[i], key) == 0)
            return true;
    return false;
}

static bool is_uplink(const struct prescan *map, uint32_t node)
{
    uint32_t parent = node == PRESCAN_ROOT ? PRESCAN_ROOT : prescan_parent(map, node);

    return parent != PRESCAN_ROOT && prescan_parent(map, parent) == PRESCAN_ROOT &&
           strcmp(prescan_key(map, parent), "uplinks") == 0;
}

static void walk(struct reader *r, struct value v, const char *names)
{
    if (json_object_is_type(v.json, json_type_array)) {
        for (size_t i = 0; i < json_object_array_length(v.json); i++) {
            char index[24];

            snprintf(index, sizeof(index), "%zu", i);
            walk(r, (struct value){json_object_array_get_idx(v.json, i), prescan_child(r->map, v.node, index)}, NULL);
        }
        return;
    }
    if (!json_object_is_type(v.json, json_type_object))
        return;
    json_object_object_foreach (v.json, key, o) {
        struct value member = {o, prescan_child(r->map, v.node, key)};
        bool chosen =
            names && strcmp(prescan_key(r->map, v.node), names) == 0 && prescan_parent(r->map, v.node) == PRESCAN_ROOT;

        bool login = is_uplink(r->map, v.node) && is_one_of(key, login_words, ELEMENTSOF(login_words));

        if (chosen || (!login && !is_one_of(key, words, ELEMENTSOF(words)))) {
            walk(r, member, v.node == PRESCAN_ROOT ? names : NULL);
            continue;
        }
        reader_mistake_key(r, member.node,
                           "\"%s\": no secret stands in configuration; keys live in the vault, give a device its key "
                           "with \"gatehousectl key set DEVICE\"%s",
                           key,
                           login
                               ? ", and a user name and a password or a token, over MQTT, with \"gatehousectl key set "
                                 "DEVICE --kind=login\""
                               : "");
        json_object_object_del(v.json, key);
    }
}

void config_refuse_secrets(struct reader *r, const char *names)
{
    walk(r, reader_root(r), names);
}
