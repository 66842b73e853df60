/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/clock.h"
#include "link/host-conn.h"

#include <errno.h>
#include <string.h>

/* One device's samples in a report; the token of the embedder's. */
struct link_report {
    struct report *whole;
    int r;
};

/* Answered when all its parts are. */
struct report {
    TAILQ_ENTRY(report) link; /* in conn->held */
    struct conn *conn;
    uint64_t serial;
    size_t n_samples, n_parts, open;
    bool failed; /* a part was not accepted */
    struct link_report parts[];
};

static void report_free(struct report *report)
{
    conn_unref(report->conn);
    free(report);
}

uint32_t conn_credits(struct conn *c)
{
    uint64_t tokens = ratelimit_tokens(&c->account->samples, clock_boottime());

    return (uint32_t)dialog_grant(&c->dialog, (size_t)MIN_OF(tokens, (uint64_t)LINK_CREDITS));
}

bool conn_may_answer(struct conn *c)
{
    uint64_t now = clock_boottime(), when = ratelimit_next(&c->account->samples, now, LINK_CREDITS_MIN);

    if (when <= now)
        return true;
    if (sd_event_source_get_enabled(c->sources.held_timer, NULL) > 0)
        return false;
    return sd_event_source_set_time(c->sources.held_timer, when) < 0 ||
           sd_event_source_set_enabled(c->sources.held_timer, SD_EVENT_ONESHOT) < 0;
}

/* `credit` and how many; where not all was accepted, an errno for each device behind it. */
static void answer(struct report *report)
{
    struct conn *c = report->conn;
    struct cbor_writer w;

    cbor_writer_init(&w, c->host->out, LINK_PACKET_MAX);
    packet_begin(&w, PACKET_CREDIT, report->serial, report->failed ? 2 : 1);
    cbor_put_uint(&w, conn_credits(c));
    if (report->failed) {
        cbor_put_array(&w, report->n_parts);
        for (size_t i = 0; i < report->n_parts; i++)
            cbor_put_uint(&w, (uint64_t)-report->parts[i].r);
    }
    conn_send(c, &w);
    report_free(report);
}

void conn_answer_held(struct conn *c)
{
    struct report *report;

    while (c->host && (report = TAILQ_FIRST(&c->held))) {
        TAILQ_REMOVE(&c->held, report, link);
        answer(report);
    }
}

void conn_drop_held(struct conn *c)
{
    struct report *report;

    while ((report = TAILQ_FIRST(&c->held))) {
        TAILQ_REMOVE(&c->held, report, link);
        report_free(report);
    }
}

static void part_done(struct report *report, int r)
{
    struct conn *c = report->conn;

    report->failed = report->failed || r < 0;
    if (--report->open > 0)
        return;
    dialog_answered(&c->dialog, report->n_samples);
    if (!c->host)
        report_free(report);
    /* An answer without credits would leave the driver with nothing to wait for. */
    else if (!TAILQ_EMPTY(&c->held) || !conn_may_answer(c))
        TAILQ_INSERT_TAIL(&c->held, report, link);
    else
        answer(report);
}

void link_report_done(struct link_report *token, int r)
{
    token->r = r == 0 || r == -EINVAL || r == -ENODEV ? r : -EBUSY;
    part_done(token->whole, r);
}

static struct report *report_new(struct conn *c, const struct packet *p)
{
    struct report *report = calloc(1, sizeof(*report) + p->n_parts * sizeof(report->parts[0]));

    if (!report)
        return NULL;
    report->conn = conn_ref(c);
    report->serial = p->serial;
    report->n_samples = p->n_samples;
    report->n_parts = p->n_parts;
    report->open = p->n_parts + 1; /* ours */
    for (size_t i = 0; i < p->n_parts; i++)
        report->parts[i].whole = report;
    return report;
}

void conn_report(struct conn *c, const struct packet *p)
{
    struct report *report = report_new(c, p);
    struct link_host *h = c->host;
    struct link_driver *d = c->driver;

    ratelimit_charge(&c->account->samples, clock_boottime(), p->n_samples);
    if (!report) {
        conn_give_up(c, "out of memory");
        return;
    }
    d->counts.reports++;
    d->counts.samples += p->n_samples;
    for (size_t i = 0; i < p->n_parts; i++) {
        const struct packet_part *part = &p->parts[i];

        /* One that was taken away while this was on its way is no offence. */
        if (!c->host)
            link_report_done(&report->parts[i], -ENOTCONN);
        else if (!host_device_find(d, part->device)) {
            d->counts.refused++;
            link_report_done(&report->parts[i], -ENODEV);
        } else
            h->ops->report(d, &report->parts[i], part->device, p->samples + part->first, part->n, h->userdata);
    }
    part_done(report, 0);
}
