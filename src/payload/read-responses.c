/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The meaning of each answer: "responses" of a profile. */
#include "payload/internal.h"

#include <stdio.h>
#include <string.h>

#define MQTT_ERROR 0x80 /* reason codes from here on are failures */

struct codes {
    unsigned first, last;
};

/* "4.04" or "4.xx" as the range of CoAP codes that it means. */
static bool coap_codes(const char *text, struct codes *ret)
{
    unsigned class, detail;

    if (strlen(text) != 4 || text[0] < '2' || text[0] > '5' || text[1] != '.')
        return false;
    class = (unsigned)(text[0] - '0') << 5;
    if (strcmp(text + 2, "xx") == 0) {
        *ret = (struct codes){class, class | 31};
        return true;
    }
    if (text[2] < '0' || text[2] > '9' || text[3] < '0' || text[3] > '9')
        return false;
    detail = (unsigned)(text[2] - '0') * 10 + (unsigned)(text[3] - '0');
    *ret = (struct codes){class | detail, class | detail};
    return detail <= 31;
}

/* "0x87", "ok" or "error" as the range of MQTT reason codes that it means. */
static bool mqtt_codes(const char *text, struct codes *ret)
{
    unsigned code;
    char end;

    if (strcmp(text, "ok") == 0)
        *ret = (struct codes){0, MQTT_ERROR - 1};
    else if (strcmp(text, "error") == 0)
        *ret = (struct codes){MQTT_ERROR, 255};
    else if (strlen(text) == 4 && strncmp(text, "0x", 2) == 0 && sscanf(text + 2, "%2x%c", &code, &end) == 1)
        *ret = (struct codes){code, code};
    else
        return false;
    return true;
}

/* How each code was set so far. */
enum said { SAID_NOTHING, SAID_BY_CLASS, SAID_BY_CODE };

static void read_code(struct reader *r, struct value v, enum profile_verdict verdict, uint8_t said[256],
                      struct profile *p)
{
    const char *text = json_object_is_type(v.json, json_type_string) ? json_object_get_string(v.json) : "";
    bool mqtt = p->transport == PROFILE_MQTT;
    struct codes codes;
    enum said by;

    if (!(mqtt ? mqtt_codes(text, &codes) : coap_codes(text, &codes))) {
        reader_mistake(r, v.node,
                       mqtt ? "expected an MQTT reason code such as \"0x87\", or \"ok\" or \"error\" for all such"
                            : "expected a CoAP response code such as \"4.04\", or a class such as \"5.xx\"");
        return;
    }
    by = codes.first == codes.last ? SAID_BY_CODE : SAID_BY_CLASS;
    for (unsigned code = codes.first; code <= codes.last; code++) {
        if (said[code] == by) {
            reader_mistake(r, v.node, "\"%s\" is named twice", text);
            return;
        }
        if (said[code] > by)
            continue;
        said[code] = (uint8_t)by;
        p->verdicts[code] = (uint8_t)verdict;
    }
}

/* MQTT version 5, section 3.4.2.1: not authorised; topic name invalid, packet too large, payload format invalid. */
static void mqtt_defaults(struct profile *p)
{
    memset(p->verdicts, PROFILE_ACCEPTED, MQTT_ERROR);
    p->verdicts[0x87] = PROFILE_REFUSED;
    p->verdicts[0x90] = p->verdicts[0x95] = p->verdicts[0x99] = PROFILE_REJECTED;
}

/* A code by its own name wins over its class; what is not named is tried again. */
void profile_read_responses(struct reader *r, struct value root, struct profile *p)
{
    static const struct {
        const char *key;
        enum profile_verdict verdict;
    } lists[] = {{"accept", PROFILE_ACCEPTED},
                 {"reject", PROFILE_REJECTED},
                 {"refuse", PROFILE_REFUSED},
                 {"retry", PROFILE_RETRY}};
    static const char *const known[] = {"accept", "reject", "refuse", "retry", NULL};
    uint8_t said[256] = {0};
    struct value v, list;

    memset(p->verdicts, PROFILE_RETRY, sizeof(p->verdicts));
    if (!json_object_object_get_ex(root.json, "responses", NULL) && p->transport == PROFILE_MQTT) {
        mqtt_defaults(p);
        return;
    }
    if (!reader_object(r, root, "responses", true, &v))
        return;
    reader_known(r, v, known);
    for (size_t i = 0; i < ELEMENTSOF(lists); i++) {
        if (!reader_member(r, v, lists[i].key, i == 0, &list))
            continue;
        if (!json_object_is_type(list.json, json_type_array)) {
            reader_mistake(r, list.node, "\"%s\" is not a list of response codes such as %s", lists[i].key,
                           p->transport == PROFILE_MQTT ? "[\"0x87\", \"error\"]" : "[\"4.00\", \"5.xx\"]");
            continue;
        }
        for (size_t k = 0; k < json_object_array_length(list.json); k++) {
            char index[24];

            snprintf(index, sizeof(index), "%zu", k);
            read_code(r,
                      (struct value){json_object_array_get_idx(list.json, k), prescan_child(r->map, list.node, index)},
                      lists[i].verdict, said, p);
        }
    }
}
