/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "link/dialog.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "base/json.h"
#include "base/limits.h"
#include "base/names.h"

#include <errno.h>
#include <string.h>

void dialog_init(struct dialog *s, const char *name)
{
    *s = (struct dialog){.name = name};
    TAILQ_INIT(&s->requests);
}

static int take_hello(struct dialog *s, const struct packet *p, struct error *e)
{
    if (p->abi < LINK_ABI_OLDEST || p->abi > LINK_ABI)
        return error_set(e, -EPROTO, "it speaks version %u of the driver protocol, this agent versions %u to %u",
                         (unsigned)p->abi, LINK_ABI_OLDEST, LINK_ABI);
    if (s->name && strcmp(s->name, p->device) != 0)
        return error_set(e, -EACCES, "the user " DRIVER_USER_PREFIX "%s is not the driver %s", s->name, p->device);
    s->abi = p->abi;
    return 0;
}

static int take_report(struct dialog *s, const struct packet *p, struct error *e)
{
    if (p->n_samples > s->granted)
        return error_set(e, -EPROTO, "%zu samples in a report, with credits for %zu", p->n_samples, s->granted);
    s->granted -= p->n_samples;
    s->unanswered += p->n_samples;
    return 0;
}

static struct dialog_request *find(struct dialog *s, uint64_t serial)
{
    struct dialog_request *q;

    TAILQ_FOREACH (q, &s->requests, link)
        if (q->serial == serial)
            return q;
    return NULL;
}

/* A map as the only find. */
static int read_map(struct cbor_reader *r, json_object *found)
{
    json_object *map;
    int n = found ? packet_read_map(r, &map) : -ENOMEM;

    if (n >= 0 && json_object_array_add(found, map) < 0) {
        json_object_put(map);
        return -ENOMEM;
    }
    return n;
}

static int read_value(struct cbor_reader *r, enum packet_kind kind, struct dialog_answer *a)
{
    uint64_t nothing;
    int n = 0;

    switch (kind) {
    case PACKET_WRITE:
    case PACKET_READ:
        n = cbor_read_value(r, SAMPLE_TEXT_MAX, &a->values[0]);
        break;
    case PACKET_WRITES:
    case PACKET_RAW:
        n = packet_read_values(r, a->values, LINK_ANSWERS_MAX);
        break;
    case PACKET_CHECK:
        n = packet_read_complaints(r, a->complaints, LINK_ANSWERS_MAX);
        break;
    case PACKET_SCAN:
        a->found = json_object_new_array();
        n = a->found ? packet_read_found(r, a->found) : -ENOMEM;
        break;
    case PACKET_STATISTICS:
        a->found = json_object_new_array();
        n = read_map(r, a->found);
        break;
    case PACKET_SECRET:
    case PACKET_QUIT:
        n = cbor_read_uint(r, 0, &nothing); /* there is nothing to tell */
        break;
    case PACKET_HELLO:
    case PACKET_REPORT:
    case PACKET_STATE:
    case PACKET_ANSWER:
    case PACKET_KEEP:
    case PACKET_WELCOME:
    case PACKET_CREDIT:
    case PACKET_BEGIN:
    case PACKET_DEVICE:
    case PACKET_END:
    case PACKET_BYE:
    case PACKET_KINDS:
        return -EPROTO; /* no requests */
    }
    if (n >= 0)
        a->n = (size_t)n;
    return n < 0 ? n : cbor_read_end(r);
}

static int take_answer(struct dialog *s, struct packet *p, struct dialog_answer *a, struct error *e)
{
    struct dialog_request *q = find(s, p->serial);
    int r = 0;

    if (!q)
        return error_set(e, -EPROTO, "an answer to a request that was not made, or is answered");
    a->r = p->r;
    a->text = p->text;
    if (p->r == 0)
        r = read_value(&p->rest, q->kind, a);
    if (r < 0) {
        json_object_put(TAKE_PTR(a->found));
        return error_set(e, r, "an answer to %s: %s", packet_kind_name(q->kind), p->rest.error ?: strerrordesc_np(-r));
    }
    dialog_unask(s, q);
    a->request = q;
    return 0;
}

static int take(struct dialog *s, struct packet *p, struct dialog_answer *a, struct error *e)
{
    if (s->state == DIALOG_NEW && p->kind != PACKET_HELLO)
        return error_set(e, -EPROTO, "a %s before hello", packet_kind_name(p->kind));
    if (s->state == DIALOG_READY && p->kind == PACKET_HELLO)
        return error_set(e, -EPROTO, "a second hello");
    if (p->kind == PACKET_HELLO)
        return take_hello(s, p, e);
    if (p->kind == PACKET_REPORT)
        return take_report(s, p, e);
    return p->kind == PACKET_ANSWER ? take_answer(s, p, a, e) : 0;
}

int dialog_receive(struct dialog *s, void *data, size_t n, struct packet *packet, struct dialog_answer *answer,
                   struct error *e)
{
    const char *words;
    int r;

    answer->request = NULL;
    answer->found = NULL;
    answer->n = 0;
    if (n > LINK_PACKET_MAX)
        r = error_set(e, -EBADMSG, "a packet of over %d bytes", LINK_PACKET_MAX);
    else {
        r = packet_read(data, n, packet, &words);
        r = r < 0 ? error_set(e, r, "a malformed packet: %s", words) : take(s, packet, answer, e);
    }
    if (r < 0)
        s->state = DIALOG_ENDED;
    else if (packet->kind == PACKET_HELLO)
        s->state = DIALOG_READY;
    return r;
}

size_t dialog_grant(struct dialog *s, size_t allowed)
{
    size_t window = LINK_CREDITS - MIN_OF(s->unanswered, (size_t)LINK_CREDITS), n = MIN_OF(window, allowed);

    /* Earlier credits may be on their way: the driver subtracts them, and we cannot. */
    s->granted = MAX_OF(s->granted, n);
    return n;
}

void dialog_answered(struct dialog *s, size_t n)
{
    s->unanswered -= n;
}

int dialog_ask(struct dialog *s, struct dialog_request *request, enum packet_kind kind, uint64_t deadline)
{
    if (s->n_requests == LINK_CALLS_MAX)
        return -EBUSY;
    request->kind = kind;
    request->serial = ++s->last_serial;
    request->deadline = deadline;
    request->given_up = false;
    TAILQ_INSERT_TAIL(&s->requests, request, link);
    s->n_requests++;
    return 0;
}

void dialog_unask(struct dialog *s, struct dialog_request *request)
{
    TAILQ_REMOVE(&s->requests, request, link);
    s->n_requests--;
}

struct dialog_request *dialog_overdue(struct dialog *s, uint64_t now)
{
    struct dialog_request *q;

    TAILQ_FOREACH (q, &s->requests, link)
        if (!q->given_up && q->deadline <= now) {
            q->given_up = true;
            return q;
        }
    return NULL;
}

uint64_t dialog_next_deadline(const struct dialog *s)
{
    const struct dialog_request *q;
    uint64_t next = UINT64_MAX;

    TAILQ_FOREACH (q, &s->requests, link)
        if (!q->given_up)
            next = MIN_OF(next, q->deadline);
    return next;
}

struct dialog_request *dialog_end(struct dialog *s)
{
    struct dialog_request *q = TAILQ_FIRST(&s->requests);

    s->state = DIALOG_ENDED;
    if (q)
        dialog_unask(s, q);
    return q;
}
