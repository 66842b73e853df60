/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What clouds answer: Golioth's pages, Hono's sets. A set that was edited still is one, and holds what it should. */
#include "golioth-list.h"
#include "hono-set.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void golioth(json_object *o)
{
    char id[CLOUD_ID_MAX] = "";
    size_t total;
    json_object *list = golioth_page(o, &total);

    if (list) {
        golioth_find_device(list, "boiler-1", id);
        golioth_find_credential(list, "x-1@p", id);
    }
    golioth_new_id(o, "id", id);
    if (id[0] && strchr(id, '~'))
        abort();
}

static void hono(json_object *set)
{
    const struct request q = {.cloud_id = "s1", .other_id = "s2", .replaces = true};
    char id[CLOUD_ID_MAX];

    if (!hono_set_valid(set))
        return;
    hono_look(set, "x-1", &q, true, id);
    if (hono_put(set, "x-1", "AAAA") < 0 || hono_look(set, "x-1", &q, true, id) == HONO_NONE)
        abort();
    hono_remove(set, "x-1", "s1");
    hono_remove(set, "x-2", "s1");
    if (!hono_set_valid(set))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    json_object *o = NULL;

    if (wire_parse((const char *)data, size, &o, NULL) >= 0) {
        golioth(o);
        hono(o);
    }
    json_object_put(o);
    return 0;
}
