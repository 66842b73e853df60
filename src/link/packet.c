/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "link/packet.h"

#include "base/cleanup.h"
#include "base/id.h"
#include "base/json.h"
#include "base/limits.h"

#include <errno.h>
#include <string.h>

#define KIND_SIZE 16

static const char *const kind_names[PACKET_KINDS] = {
    [PACKET_HELLO] = "hello",   [PACKET_REPORT] = "report", [PACKET_STATE] = "state",
    [PACKET_ANSWER] = "answer", [PACKET_KEEP] = "keep",     [PACKET_WELCOME] = "welcome",
    [PACKET_CREDIT] = "credit", [PACKET_BEGIN] = "begin",   [PACKET_DEVICE] = "device",
    [PACKET_END] = "end",       [PACKET_BYE] = "bye",       [PACKET_WRITE] = "write",
    [PACKET_READ] = "read",     [PACKET_CHECK] = "check",   [PACKET_SCAN] = "scan",
    [PACKET_RAW] = "raw",       [PACKET_SECRET] = "secret", [PACKET_STATISTICS] = "statistics",
    [PACKET_QUIT] = "quit",     [PACKET_WRITES] = "writes",
};

static const char *const state_names[] = {
    [LINK_STATE_OK] = "ok",
    [LINK_STATE_DEGRADED] = "degraded",
    [LINK_STATE_FAILED] = "failed",
    [LINK_STATE_CLOSED] = "closed",
};

const char *packet_kind_name(enum packet_kind kind)
{
    return kind_names[kind];
}

const char *link_state_name(enum link_state state)
{
    return state_names[state] ?: "unknown";
}

enum link_state link_state_parse(const char *name)
{
    for (size_t i = LINK_STATE_OK; i < ELEMENTSOF(state_names); i++)
        if (strcmp(state_names[i], name) == 0)
            return (enum link_state)i;
    return LINK_STATE_UNKNOWN;
}

/* ---- Reading ---- */

int packet_open(struct cbor_reader *r, enum packet_kind *ret_kind, uint64_t *ret_serial, size_t *ret_n)
{
    const char *name;
    size_t n, i = 0;

    if (cbor_read_array(r, &n) < 0)
        return -EBADMSG;
    if (n < 2)
        return cbor_fail(r, "a message begins with its kind and a serial");
    if (cbor_read_text(r, KIND_SIZE, &name) < 0)
        return -EBADMSG;
    while (i < PACKET_KINDS && strcmp(kind_names[i], name) != 0)
        i++;
    if (i == PACKET_KINDS)
        return cbor_fail(r, "a message of an unknown kind");
    if (cbor_read_uint(r, UINT64_MAX, ret_serial) < 0)
        return -EBADMSG;
    *ret_kind = (enum packet_kind)i;
    *ret_n = n - 2;
    return 0;
}

static int read_id(struct cbor_reader *r, const char **ret)
{
    if (cbor_read_text(r, DEVICE_ID_MAX + 1, ret) < 0)
        return -EBADMSG;
    return id_valid(*ret) ? 0 : cbor_fail(r, "a name or id that is not " ID_RULE);
}

static int wants(struct cbor_reader *r, size_t n, size_t wanted, const char *otherwise)
{
    return n == wanted ? 0 : cbor_fail(r, otherwise);
}

static int read_hello(struct cbor_reader *r, size_t n, struct packet *p)
{
    size_t pairs;

    if (wants(r, n, 1, "hello has a map of name, abi and version") < 0 || cbor_read_map(r, &pairs) < 0)
        return -EBADMSG;
    for (size_t i = 0; i < pairs; i++) {
        const char *key;

        if (cbor_read_text(r, KIND_SIZE, &key) < 0)
            return -EBADMSG;
        if (strcmp(key, "name") == 0 && !p->device)
            (void)read_id(r, &p->device);
        else if (strcmp(key, "version") == 0 && !p->text)
            (void)cbor_read_text(r, DEVICE_ID_MAX + 1, &p->text);
        else if (strcmp(key, "abi") == 0 && p->abi == 0)
            (void)cbor_read_uint(r, UINT32_MAX, &p->abi);
        else
            return cbor_fail(r, "hello has a key that is unknown, or there already");
    }
    if (!r->error && (!p->device || !p->text || p->abi == 0))
        return cbor_fail(r, "hello lacks its name, abi or version");
    return r->error ? -EBADMSG : 0;
}

static int read_sample(struct cbor_reader *r, struct sample *s)
{
    uint64_t quality;
    size_t n;

    if (cbor_read_array(r, &n) < 0 || wants(r, n, 5, "a sample is point, time, value, unit and flags") < 0 ||
        read_id(r, &s->point) < 0 || cbor_read_uint(r, INT64_MAX, &s->time) < 0 ||
        cbor_read_value(r, SAMPLE_TEXT_MAX, &s->value) < 0 || cbor_read_text(r, UNIT_MAX, &s->unit) < 0 ||
        cbor_read_uint(r, SAMPLE_QUALITY_ALL, &quality) < 0)
        return -EBADMSG;
    s->quality = (uint32_t)quality;
    return sample_unit_valid(s->unit) ? 0 : cbor_fail(r, "a unit with control characters");
}

static int read_part(struct cbor_reader *r, struct packet *p)
{
    struct packet_part part = {.first = p->n_samples};
    size_t n;

    if (cbor_read_array(r, &n) < 0 || wants(r, n, 2, "a part of a report is a device and its samples") < 0 ||
        read_id(r, &part.device) < 0 || cbor_read_array(r, &part.n) < 0)
        return -EBADMSG;
    if (part.n == 0)
        return cbor_fail(r, "a device without samples in a report");
    if (part.n > LINK_REPORT_MAX - p->n_samples)
        return cbor_fail(r, "too many samples in one report");
    for (; p->n_samples < part.first + part.n; p->n_samples++)
        if (read_sample(r, &p->samples[p->n_samples]) < 0)
            return -EBADMSG;
    p->parts[p->n_parts++] = part;
    return 0;
}

/* No more parts than samples, which are counted. */
static int read_report(struct cbor_reader *r, size_t n, struct packet *p)
{
    if (n == 0)
        return cbor_fail(r, "a report without samples");
    for (size_t i = 0; i < n; i++)
        if (read_part(r, p) < 0)
            return -EBADMSG;
    return 0;
}

static int read_state(struct cbor_reader *r, size_t n, struct packet *p)
{
    const char *name;

    if (wants(r, n, 3, "a state has a device, the state and a reason") < 0 || read_id(r, &p->device) < 0 ||
        cbor_read_text(r, KIND_SIZE, &name) < 0 || cbor_read_text(r, ERROR_TEXT_MAX, &p->text) < 0)
        return -EBADMSG;
    p->state = link_state_parse(name);
    return p->state == LINK_STATE_UNKNOWN ? cbor_fail(r, "a state that is not ok, degraded, failed or closed") : 0;
}

static int read_keep(struct cbor_reader *r, size_t n, struct packet *p)
{
    if (wants(r, n, 2, "keep has a device and a text") < 0 || read_id(r, &p->device) < 0)
        return -EBADMSG;
    return cbor_read_text(r, LINK_KEPT_MAX, &p->text);
}

static int read_answer(struct cbor_reader *r, size_t n, struct packet *p)
{
    uint64_t number;

    if (wants(r, n, 2, "an answer has an errno, and a value or text") < 0 ||
        cbor_read_uint(r, LINK_ERRNO_MAX, &number) < 0)
        return -EBADMSG;
    p->r = -(int)number;
    p->rest = *r;
    return number == 0 ? 0 : cbor_read_text(r, ERROR_TEXT_MAX, &p->text);
}

static int read_body(struct cbor_reader *r, size_t n, struct packet *p)
{
    switch (p->kind) {
    case PACKET_HELLO:
        return read_hello(r, n, p);
    case PACKET_REPORT:
        return read_report(r, n, p);
    case PACKET_STATE:
        return read_state(r, n, p);
    case PACKET_ANSWER:
        return read_answer(r, n, p);
    case PACKET_KEEP:
        return read_keep(r, n, p);
    case PACKET_WELCOME:
    case PACKET_CREDIT:
    case PACKET_BEGIN:
    case PACKET_DEVICE:
    case PACKET_END:
    case PACKET_BYE:
    case PACKET_WRITE:
    case PACKET_WRITES:
    case PACKET_READ:
    case PACKET_CHECK:
    case PACKET_SCAN:
    case PACKET_RAW:
    case PACKET_SECRET:
    case PACKET_STATISTICS:
    case PACKET_QUIT:
    case PACKET_KINDS:
        break;
    }
    return cbor_fail(r, "a message that only the agent sends");
}

int packet_read(void *data, size_t n, struct packet *ret, const char **ret_error)
{
    struct packet p = {.parts = ret->parts, .samples = ret->samples};
    struct cbor_reader r;
    size_t items;

    cbor_reader_init(&r, data, n);
    if (packet_open(&r, &p.kind, &p.serial, &items) >= 0 && read_body(&r, items, &p) >= 0 &&
        !(p.kind == PACKET_ANSWER && p.r == 0))
        (void)cbor_read_end(&r);
    if (r.error) {
        *ret_error = r.error;
        return -EBADMSG;
    }
    *ret = p;
    return 0;
}

int packet_read_values(struct cbor_reader *r, struct sample_value *values, size_t max)
{
    size_t n;

    if (cbor_read_array(r, &n) < 0)
        return -EBADMSG;
    if (n > max)
        return cbor_fail(r, "too many values in one answer");
    for (size_t i = 0; i < n; i++)
        if (cbor_read_value(r, SAMPLE_TEXT_MAX, &values[i]) < 0)
            return -EBADMSG;
    return (int)n;
}

int packet_read_complaints(struct cbor_reader *r, struct packet_complaint *complaints, size_t max)
{
    size_t n, pair;

    if (cbor_read_array(r, &n) < 0)
        return -EBADMSG;
    if (n > max)
        return cbor_fail(r, "too many complaints in one answer");
    for (size_t i = 0; i < n; i++)
        if (cbor_read_array(r, &pair) < 0 || wants(r, pair, 2, "a complaint is a pointer and a message") < 0 ||
            cbor_read_text(r, ERROR_TEXT_MAX, &complaints[i].pointer) < 0 ||
            cbor_read_text(r, ERROR_TEXT_MAX, &complaints[i].message) < 0)
            return -EBADMSG;
    return (int)n;
}

static int read_member(struct cbor_reader *r, json_object *object)
{
    struct sample_value v;
    const char *key;
    json_object *member;

    if (cbor_read_text(r, DEVICE_ID_MAX + 1, &key) < 0)
        return -EBADMSG;
    if (!id_valid(key))
        return cbor_fail(r, "a key that is not " ID_RULE);
    if (json_object_object_get_ex(object, key, NULL))
        return cbor_fail(r, "a key that is there already");
    if (cbor_read_value(r, LINK_MEMBER_MAX, &v) < 0)
        return -EBADMSG;
    member = json_of_value(&v);
    if (!member || json_object_object_add(object, key, member) < 0) {
        json_object_put(member);
        return -ENOMEM;
    }
    return 0;
}

int packet_read_map(struct cbor_reader *r, json_object **ret)
{
    _cleanup_json_ json_object *object = json_object_new_object();
    size_t n;
    int read;

    if (!object)
        return -ENOMEM;
    if (cbor_read_map(r, &n) < 0)
        return -EBADMSG;
    if (n > LINK_MEMBERS_MAX)
        return cbor_fail(r, "too many members in one map");
    for (size_t i = 0; i < n; i++) {
        read = read_member(r, object);
        if (read < 0)
            return read;
    }
    *ret = TAKE_PTR(object);
    return 0;
}

int packet_read_found(struct cbor_reader *r, json_object *found)
{
    size_t n;

    if (cbor_read_array(r, &n) < 0)
        return -EBADMSG;
    if (n > LINK_ANSWERS_MAX)
        return cbor_fail(r, "too many maps in one answer");
    for (size_t i = 0; i < n; i++) {
        json_object *object;
        int read = packet_read_map(r, &object);

        if (read < 0)
            return read;
        if (json_object_array_add(found, object) < 0) {
            json_object_put(object);
            return -ENOMEM;
        }
    }
    return 0;
}

/* ---- Writing ---- */

void packet_begin(struct cbor_writer *w, enum packet_kind kind, uint64_t serial, size_t n)
{
    cbor_put_array(w, 2 + n);
    cbor_put_text(w, kind_names[kind]);
    cbor_put_uint(w, serial);
}

void packet_put_part(struct cbor_writer *w, const char *device, size_t n)
{
    cbor_put_array(w, 2);
    cbor_put_text(w, device);
    cbor_put_array(w, n);
}

void packet_put_sample(struct cbor_writer *w, const struct sample *s)
{
    cbor_put_array(w, 5);
    cbor_put_text(w, s->point);
    cbor_put_uint(w, s->time);
    cbor_put_value(w, &s->value);
    cbor_put_text(w, s->unit);
    cbor_put_uint(w, s->quality);
}

static struct sample_value value_of(json_object *o)
{
    switch (json_object_get_type(o)) {
    case json_type_boolean:
        return (struct sample_value){.type = SAMPLE_BOOL, .b = json_object_get_boolean(o)};
    case json_type_int:
        if (json_object_get_int64(o) == INT64_MAX)
            return (struct sample_value){.type = SAMPLE_UINT, .t = json_object_get_uint64(o)};
        return (struct sample_value){.type = SAMPLE_INT, .x = json_object_get_int64(o)};
    case json_type_double:
        return (struct sample_value){.type = SAMPLE_DOUBLE, .d = json_object_get_double(o)};
    case json_type_string:
        return (struct sample_value){.type = SAMPLE_STRING, .s = json_object_get_string(o)};
    case json_type_null:
    case json_type_array:
    case json_type_object:
        break;
    }
    return (struct sample_value){.type = SAMPLE_STRING, .s = json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN)};
}

void packet_put_map(struct cbor_writer *w, json_object *object)
{
    size_t n = 0;

    json_object_object_foreach (object, counted, member)
        n += counted && member;
    cbor_put_map(w, n);
    json_object_object_foreach (object, key, value) {
        struct sample_value v;

        if (!value)
            continue;
        v = value_of(value);
        cbor_put_text(w, key);
        cbor_put_value(w, &v);
    }
}

/* As many of the n bytes as there is room for, whole characters. */
static size_t cut(const char *text, size_t n, size_t room)
{
    if (n <= room)
        return n;
    for (n = room; n > 0 && ((unsigned char)text[n] & 0xc0) == 0x80; n--)
        ;
    return n;
}

size_t packet_texts_size(const struct link_device *device)
{
    size_t texts = strlen(device->section) + strlen(device->points);

    return texts + (texts / (LINK_TEXTS_MAX - 3) + 1) * (LINK_PACKET_MAX - LINK_TEXTS_MAX);
}

bool packet_put_texts(struct cbor_writer *w, enum packet_kind kind, uint64_t serial, const struct link_device *device,
                      size_t *at)
{
    size_t sections = strlen(device->section), points = strlen(device->points), room = LINK_TEXTS_MAX;
    size_t from = MIN_OF(*at, sections), section = cut(device->section + from, sections - from, room);
    size_t point_from = *at - from, point = 0;
    bool more;

    if (from + section == sections)
        point = cut(device->points + point_from, points - point_from, room - section);
    *at += section + point;
    more = *at < sections + points;
    packet_begin(w, kind, serial, 4);
    cbor_put_text(w, device->id);
    cbor_put_text_n(w, device->section + from, section);
    cbor_put_text_n(w, device->points + point_from, point);
    cbor_put_bool(w, more);
    return more;
}
