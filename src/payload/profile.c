/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "payload/profile.h"

#include "base/durable.h"
#include "base/id.h"
#include "base/limits.h"
#include "base/reader.h"
#include "base/strbuf.h"
#include "payload/senml.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#define DEVICE_WORD "{device}"
#define CONTENT_FORMAT_SENML_JSON 110
#define PATH_LENGTH_MAX 255
#define PAYLOAD_MIN 128
#define PAYLOAD_DEFAULT 1024

struct profile *profile_free(struct profile *p)
{
    if (!p)
        return NULL;
    free(p->name);
    free(p->telemetry.path);
    free(p->probe.path);
    free(p->probe_body);
    free(p->base_name);
    free(p);
    return NULL;
}

/* Puts a copy into *ret; out of memory is kept with the mistakes. */
static void copy(struct reader *r, const char *text, char **ret)
{
    *ret = strdup(text);
    if (!*ret)
        r->mistakes->failed = -ENOMEM;
}

/* ---- Requests ---- */

static bool path_good(const char *path)
{
    if (!path[0] || strlen(path) > PATH_LENGTH_MAX || path[0] == '/' || strstr(path, "//") ||
        path[strlen(path) - 1] == '/')
        return false;
    for (; *path; path++)
        if (*path <= 0x20 || *path >= 0x7f || *path == '?' || *path == '#')
            return false;
    return true;
}

static void read_request(struct reader *r, struct value v, const char *const known[], struct profile_request *ret)
{
    static const char *const methods[] = {"POST", "PUT", NULL};
    unsigned method = 0;
    const char *path;
    struct value at;

    reader_known(r, v, known);
    reader_word(r, v, "method", methods, &method);
    ret->method = method == 0 ? PROFILE_POST : PROFILE_PUT;
    ret->content_format = CONTENT_FORMAT_SENML_JSON;
    reader_unsigned(r, v, "content_format", 0, UINT16_MAX, &ret->content_format);
    if (!reader_string(r, v, "path", true, &path))
        return;
    reader_member(r, v, "path", true, &at);
    if (!path_good(path))
        reader_mistake(r, at.node, "\"%.64s\" is not a path; expected one such as \"telemetry\", without a leading /",
                       path);
    copy(r, path, &ret->path);
}

static void read_probe(struct reader *r, struct value root, struct profile *p)
{
    static const char *const known[] = {"method", "path", "content_format", "body", NULL};
    const char *text;
    struct value v, body;

    if (!reader_object(r, root, "probe", true, &v))
        return;
    read_request(r, v, known, &p->probe);
    if (!reader_member(r, v, "body", true, &body))
        return;
    text = json_object_to_json_string_ext(body.json, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
    if (text)
        copy(r, text, &p->probe_body);
    else
        r->mistakes->failed = -ENOMEM;
}

/* ---- Responses ---- */

/* "4.04" or "4.xx" as the range of CoAP codes that it means. */
static bool codes(const char *text, unsigned *ret_first, unsigned *ret_last)
{
    unsigned class, detail;

    if (strlen(text) != 4 || text[0] < '2' || text[0] > '5' || text[1] != '.')
        return false;
    class = (unsigned)(text[0] - '0') << 5;
    if (strcmp(text + 2, "xx") == 0) {
        *ret_first = class;
        *ret_last = class | 31;
        return true;
    }
    if (text[2] < '0' || text[2] > '9' || text[3] < '0' || text[3] > '9')
        return false;
    detail = (unsigned)(text[2] - '0') * 10 + (unsigned)(text[3] - '0');
    *ret_first = *ret_last = class | detail;
    return detail <= 31;
}

/* What has been said of each code so far. */
enum said { SAID_NOTHING, SAID_BY_CLASS, SAID_BY_CODE };

static void read_code(struct reader *r, struct value v, enum profile_verdict verdict, uint8_t said[256],
                      struct profile *p)
{
    const char *text = json_object_is_type(v.json, json_type_string) ? json_object_get_string(v.json) : "";
    unsigned first, last;
    enum said by;

    if (!codes(text, &first, &last)) {
        reader_mistake(r, v.node, "expected a CoAP response code such as \"4.04\", or a class such as \"5.xx\"");
        return;
    }
    by = first == last ? SAID_BY_CODE : SAID_BY_CLASS;
    for (unsigned code = first; code <= last; code++) {
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

/* A code by its own name wins over its class; what is not named is tried again. */
static void read_responses(struct reader *r, struct value root, struct profile *p)
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
    if (!reader_object(r, root, "responses", true, &v))
        return;
    reader_known(r, v, known);
    for (size_t i = 0; i < ELEMENTSOF(lists); i++) {
        if (!reader_member(r, v, lists[i].key, i == 0, &list))
            continue;
        if (!json_object_is_type(list.json, json_type_array)) {
            reader_mistake(r, list.node, "\"%s\" is not a list of response codes such as [\"4.00\", \"5.xx\"]",
                           lists[i].key);
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

/* ---- The whole ---- */

static int read_root(struct reader *r, struct profile *p)
{
    static const char *const known[] = {"description", "transport", "format",    "base_name", "max_payload",
                                        "telemetry",   "probe",     "responses", NULL};
    static const char *const request[] = {"method", "path", "content_format", NULL};
    static const char *const transports[] = {"coap", NULL};
    static const char *const formats[] = {"senml-json", NULL};
    const char *base_name = DEVICE_WORD ":", *description;
    uint64_t max_payload = PAYLOAD_DEFAULT;
    unsigned word;
    struct value root = reader_root(r), v;

    if (!json_object_is_type(root.json, json_type_object)) {
        reader_mistake(r, root.node, "expected an object {...} with format, telemetry, probe and responses");
        return -EBADMSG;
    }
    reader_known(r, root, known);
    reader_string(r, root, "description", false, &description);
    reader_word(r, root, "transport", transports, &word);
    reader_word(r, root, "format", formats, &word);
    p->format = PROFILE_SENML_JSON;
    if (reader_string(r, root, "base_name", false, &base_name) && strlen(base_name) > SAMPLE_TEXT_MAX) {
        reader_member(r, root, "base_name", true, &v);
        reader_mistake(r, v.node, "\"base_name\" has over %d bytes", SAMPLE_TEXT_MAX);
    }
    copy(r, base_name, &p->base_name);
    reader_size(r, root, "max_payload", PAYLOAD_MIN, COAP_BODY_MAX, &max_payload);
    p->max_payload = (size_t)max_payload;
    if (reader_object(r, root, "telemetry", true, &v))
        read_request(r, v, request, &p->telemetry);
    read_probe(r, root, p);
    read_responses(r, root, p);
    if (r->mistakes->failed < 0)
        return r->mistakes->failed;
    return reader_good(r) ? 0 : -EBADMSG;
}

/* "senml" of "/usr/share/gatehouse/profiles/senml.json" */
static char *name_of(const char *file)
{
    const char *base = strrchr(file, '/');
    const char *name = base ? base + 1 : file, *end = strrchr(name, '.');

    return end ? strndup(name, (size_t)(end - name)) : strdup(name);
}

int profile_parse(const char *file, char *text, size_t n, struct profile **ret, struct mistakes *mistakes)
{
    _cleanup_(profile_freep) struct profile *p = calloc(1, sizeof(*p));
    _cleanup_(reader_done) struct reader r = {0};
    int k;

    if (!p)
        return -ENOMEM;
    p->name = name_of(file);
    if (!p->name)
        return -ENOMEM;
    k = reader_open(&r, file, text, n, mistakes);
    if (k >= 0)
        k = read_root(&r, p);
    if (k < 0)
        return k;
    *ret = TAKE_PTR(p);
    return 0;
}

int profile_load(const char *const directories[], const char *name, struct profile **ret, struct mistakes *mistakes)
{
    if (!id_valid(name))
        return -ENOENT;
    for (; *directories; directories++) {
        _cleanup_free_ char *path = NULL, *text = NULL;
        struct error e = {""};
        size_t n;
        int r;

        if (asprintf(&path, "%s/%s.json", *directories, name) < 0) {
            path = NULL;
            return -ENOMEM;
        }
        r = file_read(AT_FDCWD, path, CONFIG_FILE_MAX, &text, &n, &e);
        if (r == -ENOENT)
            continue;
        if (r == -ENOMEM)
            return r;
        if (r < 0) {
            mistakes_add(mistakes, path, 0, 0, NULL, "%s", e.text);
            return -EBADMSG;
        }
        return profile_parse(path, text, n, ret, mistakes);
    }
    return -ENOENT;
}

enum profile_verdict profile_verdict(const struct profile *p, uint8_t code)
{
    return (enum profile_verdict)p->verdicts[code];
}

/* The template with the device's id in it. */
static int expand(const char *template, const char *device, char **ret, size_t *ret_size)
{
    struct strbuf b = {0};
    const char *word;
    char *text;
    int r;

    while ((word = strstr(template, DEVICE_WORD))) {
        strbuf_add(&b, template, (size_t)(word - template));
        strbuf_puts(&b, device);
        template = word + strlen(DEVICE_WORD);
    }
    strbuf_puts(&b, template);
    *ret_size = b.length;
    r = strbuf_take(&b, &text);
    if (r < 0)
        return r;
    *ret = text;
    return 0;
}

int profile_pack(const struct profile *p, const char *device, const struct sample *samples, size_t n, size_t max,
                 char **ret_body, size_t *ret_size)
{
    _cleanup_free_ char *base_name = NULL;
    size_t size;
    int r;

    r = expand(p->base_name, device, &base_name, &size);
    if (r < 0)
        return r;
    max = max == 0 ? p->max_payload : MIN_OF(max, p->max_payload);
    switch (p->format) {
    case PROFILE_SENML_JSON:
        return senml_pack(base_name, samples, n, max, ret_body, ret_size);
    }
    return -EINVAL;
}

int profile_probe(const struct profile *p, const char *device, char **ret_body, size_t *ret_size)
{
    return expand(p->probe_body, device, ret_body, ret_size);
}
