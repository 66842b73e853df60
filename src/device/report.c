/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reports: one answer to a message with many writes, once all of them have ended. A report that does not arrive is not
 * repeated: the cloud shows the message again over the next session, and that is answered. */
#include "base/limits.h"
#include "base/log.h"
#include "base/timers.h"
#include "base/worker.h"
#include "device/downlink-internal.h"
#include "device/facts.h"
#include "device/fleet.h"
#include "device/job.h"
#include "device/lifetime.h"
#include "device/message.h"
#include "device/summary.h"
#include "payload/profile.h"
#include "registrar/registrar.h"
#include "rotation/carrier.h"
#include "rotation/schedule.h"
#include "spool/spool.h"
#include "uplink/session.h"

#include <errno.h>
#include <stdlib.h>

struct report {
    char *id;
    bool begun;
    size_t n, pending;
    struct report_write {
        struct profile_result result;
        bool ended;
    } writes[];
};

static struct report *report_free(struct report *r)
{
    if (!r)
        return NULL;
    for (size_t i = 0; i < r->n; i++) {
        free(r->writes[i].result.point);
        free(r->writes[i].result.text);
    }
    free(r->id);
    free(r);
    return NULL;
}
DEFINE_FREEP(struct report, report_free)

int report_begin(struct listening *at, const struct profile_commands *commands)
{
    _cleanup_(report_freep) struct report *r = calloc(1, sizeof(*r) + commands->n * sizeof(r->writes[0]));

    report_drop(at);
    if (!r)
        return -ENOMEM;
    r->id = strdup(commands->report_id);
    for (; r->n < commands->n; r->n++) {
        r->writes[r->n].result.point = strdup(commands->list[r->n].point);
        if (!r->writes[r->n].result.point)
            return -ENOMEM;
    }
    if (!r->id)
        return -ENOMEM;
    r->pending = r->n;
    at->report = TAKE_PTR(r);
    return 0;
}

void report_drop(struct listening *at)
{
    at->report = report_free(at->report);
}

static void on_sent(int r, const struct uplink_response *response, void *userdata)
{
    struct device *d = userdata;
    char code[CODE_TEXT_MAX];

    if (r == -ECANCELED || (r >= 0 && profile_verdict(d->uplink->profile, response->code) == PROFILE_ACCEPTED))
        return;
    if (r >= 0)
        message_code_text(d->uplink->profile, response->code, code);
    log_limited(&d->fleet->spooling.rejections, LOG_WARNING, d->config->id,
                "the cloud was not told what became of settings: %s", r < 0 ? strerrordesc_np(-r) : code);
}

static int send(struct listening *at)
{
    const struct report *report = at->report;
    struct device *d = at->downlink->device;
    _cleanup_(profile_message_done) struct profile_message m = {0};
    _cleanup_free_ struct profile_result *results = calloc(report->n + 1, sizeof(*results));
    struct device_names names;
    int r = results ? device_names(d, &names) : -ENOMEM;

    for (size_t i = 0; r >= 0 && i < report->n; i++)
        results[i] = report->writes[i].result;
    if (r >= 0)
        r = profile_report(d->uplink->profile, at->source, &names.profile, report->id, results, report->n, &m);
    if (r <= 0 || !device_session(d))
        return r;
    return message_send(device_session(d), &m, on_sent, d, NULL);
}

static void maybe_send(struct listening *at)
{
    int r;

    if (!at->report || !at->report->begun || at->report->pending > 0)
        return;
    r = send(at);
    if (r < 0 && r != -ESHUTDOWN)
        log_limited(&at->downlink->complaints, LOG_WARNING, at->downlink->device->config->id,
                    "the cloud cannot be told what became of settings: %s", strerrordesc_np(-r));
    report_drop(at);
}

void report_begun(struct listening *at)
{
    if (at->report)
        at->report->begun = true;
    maybe_send(at);
}

static struct report_write *find(const struct report *r, const char *point)
{
    for (size_t i = 0; i < r->n; i++)
        if (!r->writes[i].ended && strcmp(r->writes[i].result.point, point) == 0)
            return (struct report_write *)&r->writes[i];
    return NULL;
}

void report_result(struct downlink *l, const struct profile_command *c, enum profile_outcome outcome, const char *text)
{
    struct listening *at = &l->listening[c->source];
    struct report_write *w = at->report && strcmp(at->report->id, c->id) == 0 ? find(at->report, c->point) : NULL;

    if (!w)
        return;
    w->ended = true;
    w->result.outcome = outcome;
    w->result.text = text && text[0] ? strdup(text) : NULL;
    at->report->pending--;
    maybe_send(at);
}
