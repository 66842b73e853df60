/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The `registrar` of an uplink: how its cloud learns a key. */
#include "base/id.h"
#include "base/limits.h"
#include "base/units.h"
#include "config/internal.h"
#include "config/url.h"

#include <string.h>

#define GOLIOTH_URL "https://api.golioth.io"

/* In the order of enum config_registrar_type. */
static const char *const types[] = {"coap", "manual", "golioth", "hono", "exec", NULL};

void config_registrar_done(struct config_registrar *c)
{
    free(c->name);
    free(c->settings);
    free(c->realm);
}

static void add(struct reader *r, json_object *settings, const char *key, const char *text)
{
    json_object *value = json_object_new_string(text);

    if (!value || json_object_object_add(settings, key, value) < 0) {
        json_object_put(value);
        r->mistakes->failed = -ENOMEM;
    }
}

/* A name that can stand in a path: of a socket, a project, a tenant, a program. */
static bool read_name(struct reader *r, struct value v, const char *key, bool required, const char **text)
{
    struct value at;

    if (!reader_string(r, v, key, required, text))
        return false;
    if (id_valid(*text))
        return true;
    reader_member(r, v, key, true, &at);
    reader_mistake(r, at.node, "\"%s\" is \"%.64s\"; expected " ID_RULE, key, *text);
    return false;
}

static void read_address(struct reader *r, struct value v, const char *key, bool proxy, const char *standard,
                         json_object *settings)
{
    const char *text = standard;
    struct value at;
    struct error e;

    if (reader_string(r, v, key, !standard && !proxy, &text)) {
        reader_member(r, v, key, true, &at);
        if (config_https_check(text, proxy, &e) < 0)
            reader_mistake(r, at.node, "%s", e.text);
    }
    if (text)
        add(r, settings, key, text);
}

/* Reads the keys common to clouds reached over HTTPS; `realm` is the key that names the project or tenant. */
static void read_https(struct reader *r, struct value v, const char *realm, const char *url, json_object *settings,
                       struct config_registrar *ret)
{
    const char *text = NULL;
    struct value at;

    if (read_name(r, v, realm, true, &text)) {
        config_copy(r, text, &ret->realm);
        add(r, settings, realm, text);
    }
    read_address(r, v, "url", false, url, settings);
    read_address(r, v, "proxy", true, NULL, settings);
    if (reader_string(r, v, "ca", false, &text)) {
        reader_member(r, v, "ca", true, &at);
        if (text[0] != '/')
            reader_mistake(r, at.node,
                           "\"ca\" is \"%.128s\"; expected the whole path of a file with certificates, "
                           "such as \"/etc/gatehouse/ca.pem\"",
                           text);
        add(r, settings, "ca", text);
    }
}

static void read_exec(struct reader *r, struct value v, json_object *settings, struct config_registrar *ret)
{
    static const char *const encodings[] = {"hex", "base64", "text", NULL};
    uint64_t timeout = REGISTRAR_PROGRAM_TIMEOUT;
    char duration[UNITS_TEXT_MAX];
    const char *text = NULL;
    unsigned encoding = 0;

    if (read_name(r, v, "program", true, &text))
        add(r, settings, "program", text);
    reader_duration(r, v, "timeout", USEC_PER_SEC, REGISTRAR_BUDGET, &timeout);
    add(r, settings, "timeout", duration_format(timeout, duration));
    reader_word(r, v, "encoding", encodings, &encoding);
    ret->encoding = encodings[encoding];
}

static void read_remote(struct reader *r, struct value v, struct config_registrar *ret)
{
    _cleanup_json_ json_object *settings = json_object_new_object();
    const char *name = types[ret->type];

    if (!settings) {
        r->mistakes->failed = -ENOMEM;
        return;
    }
    add(r, settings, "type", types[ret->type]);
    read_name(r, v, "name", false, &name);
    config_copy(r, name, &ret->name);
    if (ret->type == CONFIG_REGISTRAR_GOLIOTH) {
        read_https(r, v, "project", GOLIOTH_URL, settings, ret);
        ret->encoding = "text";
    } else if (ret->type == CONFIG_REGISTRAR_HONO) {
        read_https(r, v, "tenant", NULL, settings, ret);
        ret->encoding = "base64";
    } else {
        read_exec(r, v, settings, ret);
    }
    config_copy(r, json_object_to_json_string_ext(settings, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE),
                &ret->settings);
}

static const char *const *known_of(enum config_registrar_type type)
{
    static const char *const session[] = {"type", "mode", "offer_without_pfs", NULL};
    static const char *const golioth[] = {"type", "name", "project", "url", "ca", "proxy", NULL};
    static const char *const hono[] = {"type", "name", "mode", "tenant", "url", "ca", "proxy", NULL};
    static const char *const exec[] = {"type", "name", "mode", "program", "encoding", "timeout", NULL};

    switch (type) {
    case CONFIG_REGISTRAR_COAP:
    case CONFIG_REGISTRAR_MANUAL:
        return session;
    case CONFIG_REGISTRAR_GOLIOTH:
        return golioth;
    case CONFIG_REGISTRAR_HONO:
        return hono;
    case CONFIG_REGISTRAR_EXEC:
        return exec;
    }
    return session;
}

void config_read_registrar(struct reader *r, struct value object, struct config_registrar *ret)
{
    static const char *const modes[] = {"adds", "replaces", NULL};
    unsigned type = CONFIG_REGISTRAR_MANUAL, mode = 0;
    struct value v;

    ret->type = CONFIG_REGISTRAR_MANUAL;
    if (!reader_object(r, object, "registrar", false, &v))
        return;
    if (!reader_member(r, v, "type", true, &(struct value){0}))
        return;
    /* Which other keys there may be depends on a type that is known. */
    if (reader_word(r, v, "type", types, &type))
        reader_known(r, v, known_of((enum config_registrar_type)type));
    ret->type = (enum config_registrar_type)type;
    if (ret->type != CONFIG_REGISTRAR_GOLIOTH)
        reader_word(r, v, "mode", modes, &mode);
    ret->replaces = mode == 1;
    if (ret->type == CONFIG_REGISTRAR_COAP || ret->type == CONFIG_REGISTRAR_MANUAL)
        reader_bool(r, v, "offer_without_pfs", &ret->offer_without_pfs);
    else
        read_remote(r, v, ret);
}
