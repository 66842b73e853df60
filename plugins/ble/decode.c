/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "decoder-internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char *const results[] = {
    [DECODED] = "decoded",
    [DECODER_STOPPED] = "stopped",
    [DECODER_TRUNCATED] = "truncated",
    [DECODER_DUPLICATE] = "duplicate",
    [DECODER_NOT_MINE] = "not-mine",
    [DECODER_NEEDS_KEY] = "needs-key",
    [DECODER_WRONG_KEY] = "wrong-key",
    [DECODER_PLAIN_AFTER_KEY] = "plain-after-key",
    [DECODER_REPLAY_OR_HELD] = "replay-or-held",
};

const char *decoder_result_name(enum decoder_result result)
{
    return results[result];
}

const char *decoder_name(const struct decoder *d)
{
    return d->name;
}

const char *decoder_title(const struct decoder *d)
{
    return d->title;
}

bool decoder_wants_active_scan(const struct decoder *d)
{
    return d->active_scan;
}

enum cipher decoder_cipher(const struct decoder *d)
{
    return d->cipher;
}

size_t decoder_vectors(const struct decoder *d)
{
    return d->n_vectors;
}

static void begin(struct decoded *ret, const struct decoder *d)
{
    memset(ret, 0, offsetof(struct decoded, values));
    ret->n_text = 0;
    ret->decoder = d;
}

/* --- advertisements --- */

static enum decoder_result result_of(enum cipher_result opened)
{
    switch (opened) {
    case CIPHER_OPENED:
        return DECODED;
    case CIPHER_NEEDS_KEY:
        return DECODER_NEEDS_KEY;
    case CIPHER_WRONG_KEY:
        return DECODER_WRONG_KEY;
    case CIPHER_TRUNCATED:
        return DECODER_TRUNCATED;
    case CIPHER_NOT_MINE:
        break;
    }
    return DECODER_NOT_MINE;
}

static enum decoder_result check_counter(const struct cipher_frame *frame, struct counter_state *state, uint64_t now,
                                         struct decoded *ret)
{
    switch (counter_check(state, frame->counter, frame->counter_bits, now)) {
    case COUNTER_NEW:
        return DECODED;
    case COUNTER_RESTARTED:
        ret->restarted = true;
        return DECODED;
    case COUNTER_DUPLICATE:
        return DECODER_DUPLICATE;
    case COUNTER_HELD:
        break;
    }
    return DECODER_REPLAY_OR_HELD;
}

static bool has_events(const struct decoded *d)
{
    for (size_t i = 0; i < d->n_values; i++)
        if (d->values[i].event)
            return true;
    return false;
}

/* Repeated values do no harm, a repeated event does. */
static enum decoder_result drop_repeated(const struct cipher_frame *frame, struct counter_state *state, uint64_t now,
                                         enum decoder_result result, struct decoded *ret)
{
    if (frame->counter_bits || !state || (!ret->has_sequence && !has_events(ret)))
        return result;
    if (!counter_repeated(state, frame->body, frame->n, ret->has_sequence, now))
        return result;
    ret->n_values = 0;
    return DECODER_DUPLICATE;
}

static enum decoder_result run_payload(const struct decoder *d, const struct advert *advert, const uint8_t *payload,
                                       size_t n, const struct bind_key *key, struct counter_state *state, uint64_t now,
                                       struct decoded *ret)
{
    struct cipher_frame frame;
    uint8_t address[6] = {0};
    enum decoder_result result;

    (void)address_parse(advert->address ? advert->address : "", address);
    result = result_of(cipher_open(d->cipher, address, d->match.short_service, payload, n, key, &frame));
    ret->has_sequence = frame.has_sequence;
    ret->sequence = frame.sequence;
    if (result != DECODED)
        return result;
    if (key && !frame.encrypted)
        return DECODER_PLAIN_AFTER_KEY;
    ret->encrypted = frame.encrypted;
    ret->has_counter = frame.counter_bits > 0;
    ret->counter = frame.counter;
    if (frame.counter_bits && state)
        result = check_counter(&frame, state, now, ret);
    if (result != DECODED)
        return result;
    result = decoder_values(d, frame.body, frame.n, ret);
    return drop_repeated(&frame, state, now, result, ret);
}

int decoder_run(const struct decoder *d, const struct advert *advert, const struct bind_key *key,
                struct counter_state *state, uint64_t now, struct decoded *ret)
{
    uint8_t payload[ADVERT_PAYLOAD_MAX];
    size_t n = 0;

    begin(ret, NULL);
    if (decoder_match(d, advert, payload, &n) == 0)
        return DECODER_NOT_MINE;
    ret->decoder = d;
    return run_payload(d, advert, payload, n, key, state, now, ret);
}

static const struct decoder *most_particular(const struct decoder_set *set, const struct advert *advert)
{
    const struct decoder *best = NULL;
    unsigned best_match = 0;

    for (size_t i = 0; i < set->n; i++) {
        uint8_t payload[ADVERT_PAYLOAD_MAX];
        size_t n;
        unsigned match = decoder_match(set->decoders[i], advert, payload, &n);
        if (match > best_match) {
            best_match = match;
            best = set->decoders[i];
        }
    }
    return best;
}

int decoder_decode(const struct decoder_set *set, const char *format, const struct advert *advert,
                   const struct bind_key *key, struct counter_state *state, uint64_t now, struct decoded *ret)
{
    bool any = strcmp(format, DECODER_AUTO) == 0;
    const struct decoder *d = any ? most_particular(set, advert) : decoder_set_find(set, format);

    begin(ret, NULL);
    if (!d)
        return any ? DECODER_NOT_MINE : -ENOENT;
    return decoder_run(d, advert, key, state, now, ret);
}

bool decoder_gives(const struct decoder_set *set, const char *format, const char *name)
{
    bool any = strcmp(format, DECODER_AUTO) == 0;

    for (size_t i = 0; i < set->n; i++)
        if ((any || strcmp(set->decoders[i]->name, format) == 0) && decoder_gives_value(set->decoders[i], name))
            return true;
    return false;
}

/* --- characteristics --- */

static const struct object *characteristic_of(const struct decoder *d, const struct ble_uuid *uuid)
{
    for (size_t i = 0; i < d->n_characteristics; i++)
        if (uuid_equal(&d->characteristics[i].uuid, uuid))
            return &d->characteristics[i];
    return NULL;
}

int decoder_run_characteristic(const struct decoder *d, const struct ble_uuid *uuid, const uint8_t *bytes, size_t n,
                               struct decoded *ret)
{
    const struct object *o = characteristic_of(d, uuid);

    begin(ret, o ? d : NULL);
    if (!o)
        return DECODER_NOT_MINE;
    if (o->length > 0 && n < (size_t)o->length)
        return DECODER_TRUNCATED;
    return object_values(o, bytes, n, ret);
}

bool decoder_has_characteristic(const struct decoder_set *set, const char *format, const char *uuid,
                                const struct decoder **ret_decoder)
{
    bool any = strcmp(format, DECODER_AUTO) == 0;
    struct ble_uuid parsed;

    if (uuid_parse(uuid, &parsed) < 0)
        return false;
    for (size_t i = 0; i < set->n; i++) {
        const struct decoder *d = set->decoders[i];
        if ((any || strcmp(d->name, format) == 0) && characteristic_of(d, &parsed)) {
            if (ret_decoder)
                *ret_decoder = d;
            return true;
        }
    }
    return false;
}

int decoder_decode_characteristic(const struct decoder_set *set, const char *format, const char *uuid,
                                  const uint8_t *bytes, size_t n, struct decoded *ret)
{
    const struct decoder *d = NULL;
    struct ble_uuid parsed;

    begin(ret, NULL);
    if (strcmp(format, DECODER_AUTO) != 0 && !decoder_set_find(set, format))
        return -ENOENT;
    if (!decoder_has_characteristic(set, format, uuid, &d) || uuid_parse(uuid, &parsed) < 0)
        return DECODER_NOT_MINE;
    return decoder_run_characteristic(d, &parsed, bytes, n, ret);
}
