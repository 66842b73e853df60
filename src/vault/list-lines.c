/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A credential a line, as brokers and clouds take them, both ways. */
#include "base/encode.h"
#include "base/json.h"
#include "vault/key.h"
#include "vault/list-internal.h"

#include <gnutls/gnutls.h>
#include <stdio.h>
#include <string.h>

/* ── Reading ── */

/* json-c frees without wiping. */
static void wipe_string(json_object *v)
{
    if (json_object_is_type(v, json_type_string))
        gnutls_memset((char *)(uintptr_t)json_object_get_string(v), 0, (size_t)json_object_get_string_len(v));
}

static int parse_pair(enum list_format format, const char *text, size_t n, struct list_row *row)
{
    const char *colon = memchr(text, ':', n);
    size_t at = colon ? (size_t)(colon - text) : 0;
    int r;

    if (at == 0)
        return list_mistake(row, NULL, "expected an identity, a colon and a key");
    r = list_set_text(row, "identity", text, at, &row->identity);
    if (r >= 0 && !row->mistake)
        r = list_set_key(row, format == LIST_MOSQUITTO ? VAULT_HEX : VAULT_TEXT, colon + 1, n - at - 1);
    /* The list knows no devices: each is named as its identity. */
    if (r >= 0 && !row->mistake)
        r = list_set_text(row, "device", row->identity, strlen(row->identity), &row->device);
    return r;
}

static int take_text(struct list_row *row, const char *column, json_object *v, char **ret)
{
    const char *text = json_object_is_type(v, json_type_string) ? json_object_get_string(v) : NULL;

    if (!text || !*text || strlen(text) != (size_t)json_object_get_string_len(v))
        return list_mistake(row, column, "expected a text");
    return list_set_text(row, column, text, strlen(text), ret);
}

static int take_key(struct list_row *row, json_object *v, enum vault_encoding encoding)
{
    if (!json_object_is_type(v, json_type_string))
        return list_mistake(row, "key", "expected a text");
    return list_set_key(row, encoding, json_object_get_string(v), (size_t)json_object_get_string_len(v));
}

static int parse_golioth(json_object *o, struct list_row *row)
{
    json_object *ids = json_object_object_get(o, "hardwareIds"), *key = json_object_object_get(o, "preSharedKey");
    const char *type = json_get_string(o, "type");
    int r;

    if (!type || strcmp(type, "PRE_SHARED_KEY") != 0)
        return list_mistake(row, "type", "expected PRE_SHARED_KEY");
    if (!json_object_is_type(ids, json_type_array) || json_object_array_length(ids) != 1)
        return list_mistake(row, "hardwareIds", "expected one");
    r = take_text(row, "name", json_object_object_get(o, "name"), &row->device);
    if (r >= 0 && !row->mistake)
        r = take_text(row, "hardwareIds", json_object_array_get_idx(ids, 0), &row->hardware_id);
    if (r >= 0 && !row->mistake)
        r = take_text(row, "identity", json_object_object_get(o, "identity"), &row->identity);
    if (r >= 0 && !row->mistake)
        r = take_key(row, key, VAULT_TEXT);
    wipe_string(key);
    return r;
}

static int parse_hono(json_object *o, struct list_row *row)
{
    json_object *list = json_object_object_get(o, "credentials"), *entry, *secrets, *key;
    const char *type;
    int r;

    if (!json_object_is_type(list, json_type_array) || json_object_array_length(list) != 1)
        return list_mistake(row, "credentials", "expected one");
    entry = json_object_array_get_idx(list, 0);
    type = json_object_is_type(entry, json_type_object) ? json_get_string(entry, "type") : NULL;
    if (!type || strcmp(type, "psk") != 0)
        return list_mistake(row, "credentials", "expected one of type psk");
    secrets = json_object_object_get(entry, "secrets");
    if (!json_object_is_type(secrets, json_type_array) || json_object_array_length(secrets) != 1 ||
        !json_object_is_type(json_object_array_get_idx(secrets, 0), json_type_object))
        return list_mistake(row, "secrets", "expected one, an object");
    key = json_object_object_get(json_object_array_get_idx(secrets, 0), "key");
    r = take_text(row, "device-id", json_object_object_get(o, "device-id"), &row->device);
    if (r >= 0 && !row->mistake)
        r = take_text(row, "auth-id", json_object_object_get(entry, "auth-id"), &row->identity);
    if (r >= 0 && !row->mistake)
        r = take_key(row, key, VAULT_BASE64);
    wipe_string(key);
    return r;
}

int list_parse_line(enum list_format format, char *text, size_t n, struct list_row *row)
{
    _cleanup_json_ json_object *o = NULL;

    if (format == LIST_MOSQUITTO || format == LIST_EMQX)
        return parse_pair(format, text, n, row);
    if (json_parse(text, n, &o, NULL) < 0 || !json_object_is_type(o, json_type_object))
        return list_mistake(row, NULL, "expected a JSON object");
    return format == LIST_GOLIOTH ? parse_golioth(o, row) : parse_hono(o, row);
}

/* ── Writing ── */

const char *list_head(enum list_format format)
{
    return format == LIST_CSV ? "hardware_id,device,identity,key,encoding\n" : "";
}

struct line {
    char *text;
    size_t n;
};

static void add(struct line *l, const char *text, size_t n)
{
    /* Names, an identity and a key with all their escapes are far shorter. */
    if (l->n + n >= LIST_LINE_MAX)
        n = 0;
    memcpy(l->text + l->n, text, n);
    l->n += n;
    l->text[l->n] = 0;
}

static void puts_(struct line *l, const char *text)
{
    add(l, text, strlen(text));
}

static void add_json(struct line *l, const char *text, size_t n)
{
    puts_(l, "\"");
    for (size_t i = 0; i < n; i++) {
        if (text[i] == '"' || text[i] == '\\')
            puts_(l, "\\");
        add(l, text + i, 1);
    }
    puts_(l, "\"");
}

static void add_csv(struct line *l, const char *text)
{
    bool quote = strpbrk(text, "\",") != NULL;

    if (quote)
        puts_(l, "\"");
    for (; *text; text++) {
        if (*text == '"')
            puts_(l, "\"");
        add(l, text, 1);
    }
    if (quote)
        puts_(l, "\"");
}

/* The encoders end with a NUL, which the next text covers. */
static void add_encoded(struct line *l, const struct secret *key, enum vault_encoding encoding)
{
    if (l->n + HEX_SIZE(KEY_MAX) >= LIST_LINE_MAX)
        return;
    if (encoding == VAULT_HEX)
        hex_encode(key->bytes, key->size, l->text + l->n);
    else
        base64_encode(key->bytes, key->size, l->text + l->n);
    l->n += strlen(l->text + l->n);
}

/* Golioth and Hono know an identity within a project or tenant, which follows it on the wire. */
static size_t local_length(const char *identity)
{
    const char *at = strrchr(identity, '@');

    return at ? (size_t)(at - identity) : strlen(identity);
}

static int check(enum list_format format, const char *device, const char *identity, const struct secret *key,
                 struct error *e)
{
    if ((format == LIST_EMQX || format == LIST_GOLIOTH) && !text_printable(key->bytes, key->size))
        return error_set(e, -EILSEQ,
                         "%s: its key is no text, and %s takes it as text: rotate, or set one with encoding text",
                         device, list_format_to_string(format));
    if ((format == LIST_EMQX || format == LIST_MOSQUITTO) && (strchr(identity, ':') || identity[0] == '#'))
        return error_set(e, -EINVAL, "%s: %s takes no identity with ':', or '#' in front", device,
                         list_format_to_string(format));
    return 0;
}

static void write_line(struct line *l, enum list_format format, const char *device, const char *hardware_id,
                       const char *identity, const struct secret *key)
{
    switch (format) {
    case LIST_CSV:
        add_csv(l, hardware_id);
        puts_(l, ",");
        add_csv(l, device);
        puts_(l, ",");
        add_csv(l, identity);
        puts_(l, ",");
        add_encoded(l, key, VAULT_HEX);
        puts_(l, ",hex");
        break;
    case LIST_MOSQUITTO:
    case LIST_EMQX:
        puts_(l, identity);
        puts_(l, ":");
        if (format == LIST_EMQX)
            add(l, (const char *)key->bytes, key->size);
        else
            add_encoded(l, key, VAULT_HEX);
        break;
    case LIST_HONO:
        puts_(l, "{\"device-id\":");
        add_json(l, hardware_id, strlen(hardware_id));
        puts_(l, ",\"credentials\":[{\"type\":\"psk\",\"auth-id\":");
        add_json(l, identity, local_length(identity));
        puts_(l, ",\"secrets\":[{\"key\":\"");
        add_encoded(l, key, VAULT_BASE64);
        puts_(l, "\"}]}]}");
        break;
    case LIST_GOLIOTH:
        puts_(l, "{\"name\":");
        add_json(l, device, strlen(device));
        puts_(l, ",\"hardwareIds\":[");
        add_json(l, hardware_id, strlen(hardware_id));
        puts_(l, "],\"identity\":");
        add_json(l, identity, local_length(identity));
        puts_(l, ",\"preSharedKey\":");
        add_json(l, (const char *)key->bytes, key->size);
        puts_(l, ",\"type\":\"PRE_SHARED_KEY\"}");
        break;
    }
    puts_(l, "\n");
}

int list_write(struct vault *vault, const struct vault_entry *entry, enum vault_slot slot, enum list_format format,
               const char *hardware_id, char text[LIST_LINE_MAX], size_t *ret_size, struct error *e)
{
    _cleanup_(secret_freep) struct secret *key = NULL;
    const char *identity = vault_credential(entry, slot)->identity;
    struct line line = {.text = text};
    int r = vault_key_open(vault, entry, slot, &key, e);

    if (r >= 0)
        r = check(format, entry->device, identity, key, e);
    if (r < 0)
        return r;
    write_line(&line, format, entry->device, hardware_id, identity, key);
    *ret_size = line.n;
    return 0;
}
