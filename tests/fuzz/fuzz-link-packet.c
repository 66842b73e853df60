/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One packet of a driver's, in a state that the first byte chooses. Whatever is taken is within every limit, and as
 * only one form of it is allowed, a report and a state written again are the same bytes. */
#include "base/id.h"
#include "base/limits.h"
#include "link/dialog.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static struct packet_part parts[LINK_REPORT_MAX];
static struct sample samples[LINK_REPORT_MAX];
static struct sample_value values[LINK_ANSWERS_MAX];
static struct packet_complaint complaints[LINK_ANSWERS_MAX];
static uint8_t written[LINK_PACKET_MAX];

static void want(bool condition)
{
    if (!condition)
        abort();
}

static void put_report(struct cbor_writer *w, const struct packet *p)
{
    packet_begin(w, PACKET_REPORT, p->serial, p->n_parts);
    for (size_t i = 0; i < p->n_parts; i++) {
        packet_put_part(w, p->parts[i].device, p->parts[i].n);
        for (size_t k = 0; k < p->parts[i].n; k++)
            packet_put_sample(w, &p->samples[p->parts[i].first + k]);
    }
}

static void check_report(const struct packet *p)
{
    size_t n = 0;

    for (size_t i = 0; i < p->n_parts; n += p->parts[i++].n)
        want(id_valid(p->parts[i].device) && p->parts[i].first == n && p->parts[i].n > 0);
    want(n == p->n_samples && n > 0 && n <= LINK_REPORT_MAX);
    for (size_t i = 0; i < n; i++)
        want(id_valid(p->samples[i].point) && sample_value_valid(&p->samples[i].value) &&
             sample_unit_valid(p->samples[i].unit) && (p->samples[i].quality & ~(uint32_t)SAMPLE_QUALITY_ALL) == 0);
}

static void check_same(const struct packet *p, const uint8_t *data, size_t n)
{
    struct cbor_writer w;

    cbor_writer_init(&w, written, sizeof(written));
    if (p->kind == PACKET_REPORT)
        put_report(&w, p);
    else {
        packet_begin(&w, PACKET_STATE, p->serial, 3);
        cbor_put_text(&w, p->device);
        cbor_put_text(&w, link_state_name(p->state));
        cbor_put_text(&w, p->text);
    }
    want(!w.full && cbor_written(&w) == n && memcmp(written, data, n) == 0);
}

static void check_answer(const struct dialog_answer *a)
{
    for (size_t i = 0; a->request->kind == PACKET_RAW && i < a->n; i++)
        want(sample_value_valid(&a->values[i]));
    for (size_t i = 0; a->request->kind == PACKET_CHECK && i < a->n; i++)
        want(strlen(a->complaints[i].pointer) < ERROR_TEXT_MAX && strlen(a->complaints[i].message) < ERROR_TEXT_MAX);
    json_object_put(a->found);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const enum packet_kind kinds[] = {PACKET_WRITE,  PACKET_READ, PACKET_CHECK,      PACKET_SCAN,  PACKET_RAW,
                                             PACKET_SECRET, PACKET_QUIT, PACKET_STATISTICS, PACKET_WRITES};
    const size_t n_kinds = sizeof(kinds) / sizeof(kinds[0]);
    struct packet p = {.parts = parts, .samples = samples};
    struct dialog_answer answer = {.values = values, .complaints = complaints};
    struct dialog_request request;
    struct dialog dialog;
    struct error e;
    uint8_t *copy;

    if (n < 1)
        return 0;
    dialog_init(&dialog, data[0] & 0x80 ? "sim" : NULL);
    if ((data[0] & 0x7f) > 0) {
        dialog.state = DIALOG_READY;
        (void)dialog_grant(&dialog, data[0] & 0x40 ? 3 : LINK_CREDITS);
        (void)dialog_ask(&dialog, &request, kinds[data[0] % n_kinds], 1);
    }
    n--;
    copy = malloc(n > 0 ? n : 1); /* of exactly its size */
    memcpy(copy, data + 1, n);
    if (dialog_receive(&dialog, copy, n, &p, &answer, &e) < 0)
        want(dialog.state == DIALOG_ENDED && !answer.found && !answer.request && e.text[0]);
    else {
        want(dialog.state == DIALOG_READY && n <= LINK_PACKET_MAX && dialog.unanswered <= LINK_CREDITS);
        want((p.kind == PACKET_HELLO) == ((data[0] & 0x7f) == 0));
        if (p.kind == PACKET_REPORT)
            check_report(&p);
        if (p.kind == PACKET_REPORT || p.kind == PACKET_STATE)
            check_same(&p, data + 1, n);
        if (p.kind == PACKET_ANSWER)
            check_answer(&answer);
    }
    free(copy);
    return 0;
}
