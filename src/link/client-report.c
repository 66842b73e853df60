/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/clock.h"
#include "link/client-internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* A report without its answer. */
struct flight {
    TAILQ_ENTRY(flight) link;
    uint64_t serial;
    size_t n_samples, n_batches;
    struct link_queue_batch batches[LINK_REPORT_DEVICES_MAX]; /* never moved: lists point back at their heads */
};

/* A state that the socket did not take. */
struct told {
    TAILQ_ENTRY(told) link;
    struct map_node node;
    enum link_state state;
    char *reason;
    char device[];
};

/* ---- Samples ---- */

/* It comes with each sample. */
int client_flush_soon(struct link_client *c)
{
    if (c->flush_scheduled)
        return 0;
    c->flush_scheduled = true;
    return sd_event_source_set_enabled(c->timers.flush_source, SD_EVENT_ONESHOT);
}

static int start_timer(sd_event_source *timer, uint64_t when)
{
    int r = sd_event_source_set_time(timer, when);

    return r < 0 ? r : sd_event_source_set_enabled(timer, SD_EVENT_ONESHOT);
}

static void flight_end(struct link_client *c, struct flight *f)
{
    TAILQ_REMOVE(&c->reports.flights, f, link);
    c->reports.n_flights--;
    c->reports.samples_in_flight -= f->n_samples;
}

/* The newest first: each goes to the front, and the oldest is to end up there. */
static void batches_back(struct link_client *c, struct flight *f)
{
    while (f->n_batches > 0)
        link_queue_batch_back(c->reports.queue, &f->batches[--f->n_batches]);
}

static void pause_reports(struct link_client *c)
{
    c->busy = start_timer(c->timers.busy_timer, clock_boottime() + LINK_RETRY_BUSY) >= 0;
}

/* Only that device: what the agent cannot keep of one says nothing of the others. */
static void pause_device(struct link_client *c, const char *device)
{
    uint64_t until = clock_boottime() + LINK_RETRY_BUSY;

    link_queue_pause(c->reports.queue, device, until);
    if (sd_event_source_get_enabled(c->timers.resume_timer, NULL) == 0)
        (void)start_timer(c->timers.resume_timer, until);
}

/* Not all of a great many at once: what is tried counts as what is sent. */
static int on_resume(sd_event_source *source, uint64_t usec, void *userdata)
{
    struct link_client *c = userdata;
    uint64_t now = clock_boottime(), next = link_queue_resume(c->reports.queue, now, LINK_RETRIES_AT_ONCE);
    int r = next == UINT64_MAX ? 0 : start_timer(source, next > now ? next : now + LINK_RETRY_BUSY);

    return r < 0 ? r : client_flush_soon(c);
}

static int on_busy_over(sd_event_source *source, uint64_t usec, void *userdata)
{
    struct link_client *c = userdata;

    c->busy = false;
    return client_flush_soon(c);
}

static int on_report_due(sd_event_source *source, uint64_t usec, void *userdata)
{
    return client_flush_soon(userdata);
}

static void batch_answered(struct link_client *c, struct link_queue_batch *b, int r)
{
    bool gone = r == -EINVAL || r == -ENODEV;
    char device[DEVICE_ID_MAX + 1];

    if (gone)
        c->refused += b->n;
    if (gone || r == 0) {
        link_queue_go_on(c->reports.queue, TAILQ_FIRST(&b->samples)->device);
        link_queue_batch_done(b);
        return;
    }
    snprintf(device, sizeof(device), "%s", TAILQ_FIRST(&b->samples)->device);
    link_queue_batch_back(c->reports.queue, b);
    pause_device(c, device);
}

/* From the last one on, as batches_back() does. Without `r` all was accepted. */
static int answered(struct link_client *c, struct flight *f, struct cbor_reader *r)
{
    uint64_t errors[LINK_REPORT_DEVICES_MAX] = {0};
    size_t n = f->n_batches;

    if (r && (cbor_read_array(r, &n) < 0 || n != f->n_batches))
        return -EBADMSG;
    for (size_t i = 0; r && i < n; i++)
        if (cbor_read_uint(r, LINK_ERRNO_MAX, &errors[i]) < 0)
            return -EBADMSG;
    while (f->n_batches > 0) {
        f->n_batches--;
        batch_answered(c, &f->batches[f->n_batches], -(int)errors[f->n_batches]);
    }
    return 0;
}

int client_credit(struct link_client *c, uint64_t serial, size_t n, struct cbor_reader *r)
{
    struct flight *f;

    TAILQ_FOREACH (f, &c->reports.flights, link)
        if (f->serial == serial)
            break;
    if (!f || answered(c, f, r) < 0)
        return -EBADMSG;
    flight_end(c, f);
    free(f);
    /* Samples under way may not have arrived when the agent counted. */
    c->reports.available = n > c->reports.samples_in_flight ? n - c->reports.samples_in_flight : 0;
    return link_queue_ready(c->reports.queue) > 0 ? client_flush_soon(c) : 0;
}

static size_t fill(struct link_client *c, struct flight *f)
{
    size_t allowed = MIN_OF(c->reports.available, c->reports.report_max), room = LINK_REPORT_BYTES_MAX;

    while (f->n_batches < LINK_REPORT_DEVICES_MAX && f->n_samples < allowed && room > LINK_SAMPLE_BYTES_MAX) {
        struct link_queue_batch *b = &f->batches[f->n_batches];

        if (!link_queue_take(c->reports.queue, allowed - f->n_samples, room - LINK_SAMPLE_BYTES_MAX, b))
            break;
        f->n_batches++;
        f->n_samples += b->n;
        room -= MIN_OF(room, b->size + DEVICE_ID_MAX + 8);
    }
    return f->n_samples;
}

static int send_flight(struct link_client *c, struct flight *f)
{
    const struct queued *s;
    struct cbor_writer w;

    f->serial = ++c->last_serial;
    cbor_writer_init(&w, c->out, LINK_PACKET_MAX);
    packet_begin(&w, PACKET_REPORT, f->serial, f->n_batches);
    for (size_t i = 0; i < f->n_batches; i++) {
        packet_put_part(&w, TAILQ_FIRST(&f->batches[i].samples)->device, f->batches[i].n);
        TAILQ_FOREACH (s, &f->batches[i].samples, by_device)
            packet_put_sample(&w, &s->sample);
    }
    return client_send(c, &w);
}

static bool may_send(struct link_client *c)
{
    return c->accepted && !c->busy && c->reports.n_flights < LINK_REPORTS_IN_FLIGHT && c->reports.available > 0 &&
           link_queue_ready(c->reports.queue) > 0;
}

/* Sends one report. */
static void send_next(struct link_client *c)
{
    struct flight *f = calloc(1, sizeof(*f));
    int r;

    if (!f) {
        pause_reports(c);
        return;
    }
    if (fill(c, f) == 0) {
        free(f);
        return;
    }
    r = send_flight(c, f);
    if (r < 0) {
        batches_back(c, f);
        link_queue_go_on_all(c->reports.queue);
        free(f);
        /* An error of the connection is handled where it is read. */
        pause_reports(c);
        return;
    }
    TAILQ_INSERT_TAIL(&c->reports.flights, f, link);
    c->reports.n_flights++;
    c->reports.samples_in_flight += f->n_samples;
    c->reports.available -= MIN_OF(c->reports.available, f->n_samples);
}

/* A little later what comes meanwhile can travel along, but what fills a report need not wait. */
static int on_flush(sd_event_source *source, void *userdata)
{
    struct link_client *c = userdata;
    uint64_t now = clock_boottime();

    c->flush_scheduled = false;
    while (may_send(c)) {
        if (now + LINK_REPORT_SLACK < c->reports.next_report &&
            link_queue_ready(c->reports.queue) < c->reports.report_max)
            return start_timer(c->timers.report_timer, c->reports.next_report);
        send_next(c);
        c->reports.next_report = now + LINK_REPORT_INTERVAL;
    }
    return 0;
}

void client_send_last(struct link_client *c)
{
    while (may_send(c))
        send_next(c);
    if (c->accepted)
        client_send_told(c);
}

void link_client_push(struct link_client *c, struct queued *sample)
{
    link_queue_push(c->reports.queue, sample);
    (void)client_flush_soon(c);
}

/* ---- States ---- */

static int send_state(struct link_client *c, const char *device, enum link_state state, const char *reason)
{
    struct cbor_writer w;

    cbor_writer_init(&w, c->out, LINK_PACKET_MAX);
    packet_begin(&w, PACKET_STATE, ++c->last_serial, 3);
    cbor_put_text(&w, device);
    cbor_put_text(&w, link_state_name(state));
    cbor_put_text(&w, reason);
    return client_send(c, &w);
}

static int is_of(const struct map_node *node, const void *device)
{
    return strcmp(MAP_ENTRY(node, struct told, node)->device, device) == 0;
}

static void told_free(struct link_client *c, struct told *t)
{
    TAILQ_REMOVE(&c->told, t, link);
    map_remove(&c->told_of, &t->node);
    free(t->reason);
    free(t);
}

void client_send_told(struct link_client *c)
{
    struct told *t;

    while ((t = TAILQ_FIRST(&c->told)) && outbox_empty(&c->line->out)) {
        if (send_state(c, t->device, t->state, t->reason) < 0)
            return;
        told_free(c, t);
    }
}

static struct told *told_get(struct link_client *c, const char *device)
{
    uint64_t hash = map_hash_text(device);
    struct map_node *node = map_find(&c->told_of, hash, is_of, device);
    size_t n = strlen(device) + 1;
    struct told *t;

    if (node)
        return MAP_ENTRY(node, struct told, node);
    t = calloc(1, sizeof(*t) + n);
    if (!t || map_insert(&c->told_of, &t->node, hash) < 0) {
        free(t);
        return NULL;
    }
    memcpy(t->device, device, n);
    TAILQ_INSERT_TAIL(&c->told, t, link);
    return t;
}

int link_client_device_state(struct link_client *c, const char *device, const char *state, const char *reason)
{
    char *copy;
    struct told *t;

    if (!c->accepted)
        return -ENOTCONN;
    if (outbox_empty(&c->line->out) && TAILQ_EMPTY(&c->told))
        return send_state(c, device, link_state_parse(state), reason);
    t = told_get(c, device);
    copy = strdup(reason);
    if (!t || !copy) {
        free(copy);
        return -ENOMEM;
    }
    free(t->reason);
    t->reason = copy;
    t->state = link_state_parse(state);
    return 0;
}

/* ---- What is kept ---- */

int link_client_keep(struct link_client *c, const char *device, const char *text)
{
    struct cbor_writer w;

    if (!c->accepted)
        return -ENOTCONN;
    if (!outbox_empty(&c->line->out))
        return -EAGAIN;
    cbor_writer_init(&w, c->out, LINK_PACKET_MAX);
    packet_begin(&w, PACKET_KEEP, ++c->last_serial, 2);
    cbor_put_text(&w, device);
    cbor_put_text(&w, text);
    return client_send(c, &w);
}

/* ---- Life ---- */

void client_reports_reset(struct link_client *c)
{
    struct flight *f;
    struct told *t;

    while ((f = TAILQ_LAST(&c->reports.flights, flight_list))) {
        flight_end(c, f);
        batches_back(c, f);
        free(f);
    }
    link_queue_go_on_all(c->reports.queue);
    while ((t = TAILQ_FIRST(&c->told)))
        told_free(c, t);
    c->reports.available = 0;
}

int client_reports_init(struct link_client *c)
{
    int r = link_queue_new(DRIVER_QUEUE_MAX, &c->reports.queue);

    if (r >= 0)
        r = sd_event_add_time(c->event, &c->timers.busy_timer, CLOCK_BOOTTIME, 0, USEC_PER_MSEC, on_busy_over, c);
    if (r >= 0)
        r = sd_event_source_set_enabled(c->timers.busy_timer, SD_EVENT_OFF);
    if (r >= 0)
        r = sd_event_add_time(c->event, &c->timers.resume_timer, CLOCK_BOOTTIME, 0, 10 * USEC_PER_MSEC, on_resume, c);
    if (r >= 0)
        r = sd_event_source_set_enabled(c->timers.resume_timer, SD_EVENT_OFF);
    if (r >= 0)
        r = sd_event_add_time(c->event, &c->timers.report_timer, CLOCK_BOOTTIME, 0, USEC_PER_MSEC, on_report_due, c);
    if (r >= 0)
        r = sd_event_source_set_enabled(c->timers.report_timer, SD_EVENT_OFF);
    if (r >= 0)
        r = sd_event_add_defer(c->event, &c->timers.flush_source, on_flush, c);
    if (r >= 0)
        r = sd_event_source_set_enabled(c->timers.flush_source, SD_EVENT_OFF);
    /* After all that may push. */
    if (r >= 0)
        r = sd_event_source_set_priority(c->timers.flush_source, SD_EVENT_PRIORITY_NORMAL + 10);
    return r;
}

void client_reports_done(struct link_client *c)
{
    sd_event_source_disable_unref(c->timers.flush_source);
    sd_event_source_disable_unref(c->timers.report_timer);
    sd_event_source_disable_unref(c->timers.busy_timer);
    sd_event_source_disable_unref(c->timers.resume_timer);
    link_queue_free(c->reports.queue);
    map_done(&c->told_of);
}

uint64_t link_client_dropped(const struct link_client *c)
{
    return link_queue_dropped(c->reports.queue);
}

uint64_t link_client_refused(const struct link_client *c)
{
    return c->refused;
}

size_t link_client_pending(const struct link_client *c)
{
    return link_queue_length(c->reports.queue) + c->reports.samples_in_flight;
}

bool link_client_handed_over(const struct link_client *c)
{
    return !c->accepted || link_client_pending(c) == 0;
}
