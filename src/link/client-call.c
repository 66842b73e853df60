/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/json.h"
#include "base/text.h"
#include "link/client-internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct link_call {
    struct line *line; /* the answer goes where the question came from, or nowhere */
    uint64_t serial;
};

/* ---- Answers ---- */

static void answer_begin(struct link_call *call, struct cbor_writer *w, void *buffer, int r)
{
    cbor_writer_init(w, buffer, LINK_PACKET_MAX);
    packet_begin(w, PACKET_ANSWER, call->serial, 2);
    cbor_put_uint(w, (uint64_t)-r);
}

static void answer_end(struct link_call *call, const struct cbor_writer *w)
{
    (void)line_send(call->line, w);
    line_unref(call->line);
    free(call);
}

static void put_cut(struct cbor_writer *w, const char *text)
{
    char cut[ERROR_TEXT_MAX];

    snprintf(cut, sizeof(cut), "%s", text);
    text_trim(cut);
    cbor_put_text(w, cut);
}

void link_call_fail(struct link_call *call, int r, const char *text)
{
    uint8_t buffer[ERROR_TEXT_MAX + 64];
    struct cbor_writer w;

    answer_begin(call, &w, buffer, r < 0 && r >= -LINK_ERRNO_MAX ? r : -EIO);
    put_cut(&w, text);
    answer_end(call, &w);
}

void link_call_value(struct link_call *call, const struct sample_value *value)
{
    uint8_t buffer[LINK_SAMPLE_BYTES_MAX];
    struct cbor_writer w;

    answer_begin(call, &w, buffer, 0);
    cbor_put_value(&w, value);
    answer_end(call, &w);
}

/* 0, for what has nothing to tell. */
static void call_done(struct link_call *call)
{
    const struct sample_value nothing = {.type = SAMPLE_UINT, .t = 0};

    link_call_value(call, &nothing);
}

/* A list: item() writes the i-th, and rest() stands for those that the packet has no room for; without it all are
 * wanted. */
static void answer_list(struct link_call *call, size_t n,
                        void (*item)(struct cbor_writer *w, const void *list, size_t i),
                        void (*rest)(struct cbor_writer *w, size_t left), const void *list)
{
    _cleanup_free_ uint8_t *items = malloc(LINK_PACKET_MAX);
    struct cbor_writer inner;
    size_t count = 0, length = 0;

    if (!items) {
        link_call_fail(call, -ENOMEM, "out of memory");
        return;
    }
    cbor_writer_init(&inner, items, LINK_TEXTS_MAX);
    while (count < MIN_OF(n, (size_t)LINK_ANSWERS_MAX - (rest ? 1 : 0))) {
        item(&inner, list, count);
        if (inner.full)
            break;
        length = cbor_written(&inner);
        count++;
    }
    if (!rest && count < n) {
        link_call_fail(call, -E2BIG, "the answer is larger than a packet: ask for less");
        return;
    }
    if (count < n) {
        cbor_writer_init(&inner, items + length, LINK_PACKET_MAX - length);
        rest(&inner, n - count);
        length += cbor_written(&inner);
        count++;
    }
    link_call_items(call, count, items, length);
}

struct line *link_call_line(struct link_call *call)
{
    return call->line;
}

void link_call_items(struct link_call *call, size_t n, const void *items, size_t length)
{
    _cleanup_free_ uint8_t *buffer = malloc(LINK_PACKET_MAX);
    struct cbor_writer w;

    if (!buffer) {
        link_call_fail(call, -ENOMEM, "out of memory");
        return;
    }
    answer_begin(call, &w, buffer, 0);
    cbor_put_array(&w, n);
    cbor_put_items(&w, items, length);
    answer_end(call, &w);
}

static void put_value(struct cbor_writer *w, const void *list, size_t i)
{
    cbor_put_value(w, (const struct sample_value *)list + i);
}

void link_call_values(struct link_call *call, const struct sample_value *values, size_t n)
{
    answer_list(call, n, put_value, NULL, values);
}

static void put_complaint(struct cbor_writer *w, const void *list, size_t i)
{
    const char *const(*complaints)[2] = list;

    cbor_put_array(w, 2);
    put_cut(w, complaints[i][0]);
    put_cut(w, complaints[i][1]);
}

/* A mistake that is not sent must not look mended. */
static void put_rest(struct cbor_writer *w, size_t left)
{
    char text[64];

    snprintf(text, sizeof(text), "and %zu more mistakes", left);
    cbor_put_array(w, 2);
    cbor_put_text(w, "");
    cbor_put_text(w, text);
}

void link_call_complaints(struct link_call *call, const char *const (*complaints)[2], size_t n)
{
    answer_list(call, n, put_complaint, put_rest, complaints);
}

void link_call_counts(struct link_call *call, json_object *counts)
{
    uint8_t buffer[LINK_COUNTS_BYTES_MAX];
    struct cbor_writer w;

    answer_begin(call, &w, buffer, 0);
    packet_put_map(&w, counts);
    answer_end(call, &w);
}

/* ---- A device's texts, in parts ---- */

void incoming_reset(struct incoming *in)
{
    for (size_t i = 0; i < in->n; i++) {
        free((char *)in->devices[i].id);
        free((char *)in->devices[i].section);
        free((char *)in->devices[i].points);
    }
    free(in->devices);
    *in = (struct incoming){.n = 0};
}

static int append(const char **text, const char *more)
{
    size_t n = *text ? strlen(*text) : 0, m = strlen(more) + 1;
    char *longer = realloc((char *)*text, n + m);

    if (!longer)
        return -ENOMEM;
    memcpy(longer + n, more, m);
    *text = longer;
    return 0;
}

static struct link_device *device_to_grow(struct incoming *in, const char *id)
{
    struct link_device *last = in->n > 0 ? &in->devices[in->n - 1] : NULL;

    if (last && !in->whole)
        return strcmp(last->id, id) == 0 ? last : NULL;
    if (in->n == LINK_DEVICES_MAX)
        return NULL;
    if (in->n == in->allocated) {
        size_t allocated = MAX_OF(2 * in->allocated, (size_t)16);
        struct link_device *grown = reallocarray(in->devices, allocated, sizeof(*grown));

        if (!grown)
            return NULL;
        in->devices = grown;
        in->allocated = allocated;
    }
    in->devices[in->n] = (struct link_device){.id = strdup(id)};
    return in->devices[in->n].id ? &in->devices[in->n++] : NULL;
}

static int read_texts(struct incoming *in, struct cbor_reader *r)
{
    const char *id, *section, *points;
    struct link_device *device;
    struct sample_value more;

    if (cbor_read_text(r, DEVICE_ID_MAX + 1, &id) < 0 || cbor_read_text(r, LINK_PACKET_MAX, &section) < 0 ||
        cbor_read_text(r, LINK_PACKET_MAX, &points) < 0 || cbor_read_value(r, 1, &more) < 0)
        return -EBADMSG;
    device = device_to_grow(in, id);
    if (!device || more.type != SAMPLE_BOOL)
        return -EBADMSG;
    in->whole = !more.b;
    return append(&device->section, section) < 0 || append(&device->points, points) < 0 ? -ENOMEM : 0;
}

/* ---- What the agent asks ---- */

static struct link_call *call_new(struct link_client *c, uint64_t serial)
{
    struct link_call *call = malloc(sizeof(*call));

    if (call)
        *call = (struct link_call){line_ref(c->line), serial};
    return call;
}

static int on_end(struct link_client *c)
{
    struct incoming set = c->set;

    if (!set.under_way || (set.n > 0 && !set.whole))
        return -EBADMSG;
    c->set = (struct incoming){.n = 0};
    c->ops->set_devices(set.devices, set.n, c->userdata);
    incoming_reset(&set);
    return 0;
}

static int on_device(struct link_client *c, struct cbor_reader *r)
{
    return c->set.under_way ? read_texts(&c->set, r) : -EBADMSG;
}

static int on_check(struct link_client *c, uint64_t serial, struct cbor_reader *r)
{
    _cleanup_free_ char *text = NULL;
    struct link_call *call;
    int read;

    if (serial != c->check_serial)
        incoming_reset(&c->check);
    c->check_serial = serial;
    read = read_texts(&c->check, r);
    if (read < 0 || !c->check.whole)
        return read;
    if (asprintf(&text, "{\"section\":%s,\"points\":%s}", c->check.devices[0].section, c->check.devices[0].points) <
        0) {
        text = NULL;
        return -ENOMEM;
    }
    call = call_new(c, serial);
    if (!call)
        return -ENOMEM;
    c->ops->check_config(call, c->check.devices[0].id, text, c->userdata);
    incoming_reset(&c->check);
    return 0;
}

static int on_point(struct link_client *c, enum packet_kind kind, uint64_t serial, struct cbor_reader *r)
{
    const char *device, *point;
    struct sample_value value;
    struct link_call *call;

    if (cbor_read_text(r, DEVICE_ID_MAX + 1, &device) < 0 || cbor_read_text(r, DEVICE_ID_MAX + 1, &point) < 0 ||
        (kind == PACKET_WRITE && cbor_read_value(r, SAMPLE_TEXT_MAX, &value) < 0))
        return -EBADMSG;
    call = call_new(c, serial);
    if (!call)
        return -ENOMEM;
    if (kind == PACKET_WRITE)
        c->ops->write(call, device, point, &value, c->userdata);
    else
        c->ops->read(call, device, point, c->userdata);
    return 0;
}

static int read_writes(struct cbor_reader *r, struct sample_write *writes, size_t *ret_n)
{
    size_t n, pair;

    if (cbor_read_array(r, &n) < 0 || n == 0 || n > LINK_WRITES_MAX)
        return -EBADMSG;
    for (size_t i = 0; i < n; i++)
        if (cbor_read_array(r, &pair) < 0 || pair != 2 || cbor_read_text(r, DEVICE_ID_MAX + 1, &writes[i].point) < 0 ||
            cbor_read_value(r, SAMPLE_TEXT_MAX, &writes[i].value) < 0)
            return -EBADMSG;
    *ret_n = n;
    return 0;
}

static int on_writes(struct link_client *c, uint64_t serial, struct cbor_reader *r)
{
    struct sample_write writes[LINK_WRITES_MAX];
    struct link_call *call;
    const char *device;
    size_t n;

    if (cbor_read_text(r, DEVICE_ID_MAX + 1, &device) < 0 || read_writes(r, writes, &n) < 0)
        return -EBADMSG;
    call = call_new(c, serial);
    if (!call)
        return -ENOMEM;
    if (c->ops->write_points)
        c->ops->write_points(call, device, writes, n, c->userdata);
    else
        link_call_fail(call, -EOPNOTSUPP, "the plugin cannot do that");
    return 0;
}

static int on_options(struct link_client *c, enum packet_kind kind, uint64_t serial, struct cbor_reader *r)
{
    _cleanup_json_ json_object *options = NULL;
    struct link_call *call;
    int read = packet_read_map(r, &options);

    if (read < 0)
        return read;
    call = call_new(c, serial);
    if (!call)
        return -ENOMEM;
    if (kind == PACKET_SCAN && client_scan_rest(c, call, options))
        return 0;
    if (kind == PACKET_SCAN)
        c->ops->scan(call, options, c->userdata);
    else
        c->ops->read_raw(call, options, c->userdata);
    return 0;
}

static int on_secret(struct link_client *c, uint64_t serial, struct cbor_reader *r, int passed)
{
    _cleanup_close_ int fd = passed;
    const char *device, *kept;
    struct link_call *call;
    int done;

    if (fd < 0 || cbor_read_text(r, DEVICE_ID_MAX + 1, &device) < 0 || cbor_read_text(r, LINK_KEPT_MAX, &kept) < 0)
        return -EBADMSG;
    call = call_new(c, serial);
    if (!call)
        return -ENOMEM;
    done = c->ops->secret ? c->ops->secret(device, TAKE_FD(fd), kept, c->userdata) : -EOPNOTSUPP;
    if (done < 0)
        link_call_fail(call, done, done == -EOPNOTSUPP ? "the plugin takes no secrets" : strerror(-done));
    else
        call_done(call);
    return 0;
}

static int on_statistics(struct link_client *c, uint64_t serial, struct cbor_reader *r)
{
    const char *device;
    struct link_call *call;

    if (cbor_read_text(r, DEVICE_ID_MAX + 1, &device) < 0)
        return -EBADMSG;
    call = call_new(c, serial);
    if (!call)
        return -ENOMEM;
    if (c->ops->statistics)
        c->ops->statistics(call, device, c->userdata);
    else
        link_call_fail(call, -EOPNOTSUPP, "nothing is counted");
    return 0;
}

static int on_quit(struct link_client *c, uint64_t serial)
{
    struct link_call *call = call_new(c, serial);

    if (!call)
        return -ENOMEM;
    call_done(call);
    c->ops->quit(c->userdata);
    return 0;
}

static int on_request(struct link_client *c, enum packet_kind kind, uint64_t serial, size_t n, struct cbor_reader *r)
{
    switch (kind) {
    case PACKET_BEGIN:
        incoming_reset(&c->set);
        c->set.under_way = true;
        return 0;
    case PACKET_DEVICE:
        return n == 4 ? on_device(c, r) : -EBADMSG;
    case PACKET_END:
        return on_end(c);
    case PACKET_WRITE:
        return n == 3 ? on_point(c, kind, serial, r) : -EBADMSG;
    case PACKET_WRITES:
        return n == 2 ? on_writes(c, serial, r) : -EBADMSG;
    case PACKET_READ:
        return n == 2 ? on_point(c, kind, serial, r) : -EBADMSG;
    case PACKET_CHECK:
        return n == 4 ? on_check(c, serial, r) : -EBADMSG;
    case PACKET_SCAN:
    case PACKET_RAW:
        return n == 1 ? on_options(c, kind, serial, r) : -EBADMSG;
    case PACKET_STATISTICS:
        return n == 1 ? on_statistics(c, serial, r) : -EBADMSG;
    case PACKET_QUIT:
        return on_quit(c, serial);
    case PACKET_SECRET: /* has a descriptor */
    case PACKET_HELLO:
    case PACKET_REPORT:
    case PACKET_STATE:
    case PACKET_ANSWER:
    case PACKET_KEEP:
    case PACKET_WELCOME:
    case PACKET_CREDIT:
    case PACKET_BYE:
    case PACKET_KINDS:
        break;
    }
    return -EBADMSG;
}

int client_packet(struct link_client *c, enum packet_kind kind, uint64_t serial, size_t n, struct cbor_reader *r,
                  int passed)
{
    if (kind == PACKET_SECRET && n == 2)
        return on_secret(c, serial, r, passed);
    if (passed >= 0) {
        safe_close(passed);
        return -EBADMSG;
    }
    return on_request(c, kind, serial, n, r);
}
