/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Advertisements become samples, and words for the user. */
#include "hub.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

/* ── Values ── */

static struct shown *shown_get(struct sensor *s, const char *name)
{
    for (size_t i = 0; i < s->n_shown; i++)
        if (strcmp(s->shown[i].name, name) == 0)
            return &s->shown[i];
    if (s->n_shown == BLE_NAMES_MAX)
        return NULL;
    (void)snprintf(s->shown[s->n_shown].name, sizeof s->shown[0].name, "%s", name);
    return &s->shown[s->n_shown++];
}

/* At most one an interval, of each name: a sensor may send its values in turn. What happened is never left out. */
static bool is_due(struct sensor *s, const char *name, const struct decoded_value *v, bool gatt)
{
    struct shown *shown = shown_get(s, name);
    uint64_t now = hub_now();

    if (!shown)
        return true;
    shown->has_value = v->value.type != GATEHOUSE_STRING;
    if (shown->has_value)
        shown->value = v->value;
    if (v->event || gatt)
        return true;
    if (now < shown->next)
        return false;
    shown->next = now + s->config->interval;
    return true;
}

static void report(struct sensor *s, const char *point, const struct decoded_value *v, const char *unit, bool gatt)
{
    if (!is_due(s, point, v, gatt))
        return;
    if (s->hub->host->report(s->handle, point, 0, &v->value, unit ?: v->unit, GATEHOUSE_GOOD) >= 0)
        s->n_samples++;
}

/* `only`: they are of this point's characteristic. */
void sensor_values(struct sensor *s, const struct decoded *d, const struct ble_point *only)
{
    for (size_t i = 0; i < d->n_values; i++) {
        const struct decoded_value *v = &d->values[i];

        if (only) {
            report(s, only->name, v, only->unit, true);
            continue;
        }
        if (s->config->n_points == 0)
            report(s, v->name, v, NULL, false);
        for (size_t k = 0; k < s->config->n_points; k++) {
            const struct ble_point *p = &s->config->points[k];

            if (!p->gatt && strcmp(p->value, v->name) == 0)
                report(s, p->name, v, p->unit, false);
        }
    }
}

int sensor_latest(struct sensor *s, const char *point, struct gatehouse_value *ret)
{
    for (size_t i = 0; i < s->n_shown; i++)
        if (strcmp(s->shown[i].name, point) == 0 && s->shown[i].has_value) {
            *ret = s->shown[i].value;
            return 0;
        }
    return -1;
}

/* ── Counters ── */

static void note_counter(struct sensor *s)
{
    uint8_t bytes[COUNTER_SAVED_MAX];
    char text[sizeof s->kept];
    size_t n = counter_save(&s->counter, bytes);

    for (size_t i = 0; i < n; i++)
        (void)snprintf(text + 2 * i, 3, "%02x", bytes[i]);
    text[2 * n] = 0;
    if (strcmp(text, s->kept) == 0)
        return;
    memcpy(s->kept, text, sizeof text);
    s->keep_due = true;
}

static void tell_counter(struct sensor *s, uint64_t now)
{
    const struct gatehouse_host *host = s->hub->host;

    if (!s->keep_due || (s->kept_at > 0 && now < s->kept_at + KEEP_INTERVAL))
        return;
    s->keep_due = false;
    s->kept_at = now;
    (void)host->keep(s->handle, s->kept);
}

void sensor_set_key(struct sensor *s, const void *key, size_t n, const char *kept)
{
    uint8_t bytes[COUNTER_SAVED_MAX];
    bool same = s->has_key && n == s->key.n && memcmp(s->key.bytes, key, n) == 0;
    size_t n_kept;

    s->has_key = n > 0 && n <= BIND_KEY_MAX;
    s->key.n = s->has_key ? n : 0;
    explicit_bzero(s->key.bytes, sizeof s->key.bytes);
    if (s->has_key)
        memcpy(s->key.bytes, key, n);
    s->problem = DECODED;
    /* The agent's memory is older than what is here, unless it was told to forget. */
    if (same && kept[0])
        return;
    counter_reset(&s->counter);
    s->kept[0] = 0;
    if (kept[0] && bytes_from_hex(kept, bytes, sizeof bytes, &n_kept) >= 0)
        (void)counter_restore(&s->counter, bytes, n_kept, hub_now());
}

/* ── Advertisements ── */

/* A field that an advertisement leaves out came before. */
static void learn(struct sensor *s, const struct properties *p)
{
    if (p->advert.name)
        (void)snprintf(s->name, sizeof s->name, "%s", p->advert.name);
    if (!p->has_uuids)
        return;
    s->n_uuids = 0;
    for (size_t i = 0; i < p->advert.n_uuids; i++)
        if (strlen(p->advert.uuids[i]) <= 36)
            (void)snprintf(s->uuids[s->n_uuids++], 37, "%s", p->advert.uuids[i]);
}

static void take(struct sensor *s, int result, const struct decoded *d, uint64_t now)
{
    if (result < 0)
        return;
    s->n_results[result]++;
    switch ((enum decoder_result)result) {
    case DECODED:
    case DECODER_STOPPED:
    case DECODER_TRUNCATED:
        if (d->n_values > 0) {
            s->decoded_at = now;
            s->problem = DECODED;
            sensor_values(s, d, NULL);
        } else {
            s->problem = (enum decoder_result)result;
        }
        break;
    case DECODER_DUPLICATE:
        if (s->problem == DECODED)
            s->decoded_at = now;
        break;
    case DECODER_NOT_MINE:
    case DECODER_NEEDS_KEY:
    case DECODER_WRONG_KEY:
    case DECODER_PLAIN_AFTER_KEY:
    case DECODER_REPLAY_OR_HELD:
        s->problem = (enum decoder_result)result;
        break;
    }
    if (d->restarted)
        s->hub->host->log(s->handle, LOG_NOTICE, "its counter began anew, as after a change of its battery: believed");
    if (s->has_key)
        note_counter(s);
}

/* Leaves out what BlueZ keeps of earlier advertisements; whether anything is left. */
static bool news_only(struct sensor *s, struct advert *advert, struct advert_manufacturer *manufacturer,
                      struct advert_service *service)
{
    memcpy(manufacturer, advert->manufacturer, advert->n_manufacturer * sizeof *manufacturer);
    memcpy(service, advert->service, advert->n_service * sizeof *service);
    fresh_filter(&s->fresh, manufacturer, &advert->n_manufacturer, service, &advert->n_service);
    advert->manufacturer = manufacturer;
    advert->service = service;
    return advert->n_manufacturer + advert->n_service > 0;
}

/* Of a sensor that repeats itself a monitor shows no more than a change of its signal. */
static void still_there(struct sensor *s, const struct properties *p, uint64_t now)
{
    if (p->advert.rssi == ADVERT_POWER_NONE && !p->has_data)
        return;
    s->heard = now;
    if (s->decoded_at > 0 && s->problem == DECODED)
        s->decoded_at = now;
}

void sensor_heard(struct sensor *s, struct adapter *a, const struct properties *p)
{
    struct decoded *d = &s->hub->decoded;
    struct advert_manufacturer manufacturer[ELEMENTS_MAX];
    struct advert_service service[ELEMENTS_MAX];
    const char *uuids[UUIDS_MAX];
    struct advert advert = p->advert;
    uint64_t now = hub_now();
    int r;

    learn(s, p);
    if (a && a->piles && !news_only(s, &advert, manufacturer, service)) {
        still_there(s, p, now);
        return;
    }
    if (!a || !p->has_data)
        return;
    s->heard = now;
    s->n_heard++;
    if (!ble_config_listens(s->config))
        return;
    for (size_t i = 0; i < s->n_uuids; i++)
        uuids[i] = s->uuids[i];
    advert.address = s->config->address;
    advert.name = s->name[0] ? s->name : NULL;
    advert.uuids = uuids;
    advert.n_uuids = s->n_uuids;
    r = decoder_decode(s->hub->set, s->config->format, &advert, s->has_key ? &s->key : NULL, &s->counter, now, d);
    take(s, r, d, now);
    tell_counter(s, now);
}

/* ── What the user is told ── */

static void problem_words(const struct sensor *s, char *text, size_t size)
{
    switch (s->problem) {
    case DECODER_NEEDS_KEY:
        (void)snprintf(text, size, "what it sends is encrypted: gatehousectl key set %s --kind=bind", s->id);
        return;
    case DECODER_WRONG_KEY:
        (void)snprintf(text, size,
                       "its bind key does not fit what it sends (%llu advertisements): look it up again in the maker's "
                       "application, which may have made a new one",
                       (unsigned long long)s->n_results[DECODER_WRONG_KEY]);
        return;
    case DECODER_PLAIN_AFTER_KEY:
        (void)snprintf(
            text, size,
            "what comes under its address is not encrypted although it has a bind key (%llu advertisements): if "
            "its encryption was switched off, gatehousectl key forget %s --kind=bind",
            (unsigned long long)s->n_results[DECODER_PLAIN_AFTER_KEY], s->id);
        return;
    case DECODER_REPLAY_OR_HELD:
        (void)snprintf(
            text, size,
            "its counter is lower than before (%llu advertisements): a recording, or its battery was changed, "
            "which is believed after a minute of silence; or gatehousectl key counter-reset %s",
            (unsigned long long)s->n_results[DECODER_REPLAY_OR_HELD], s->id);
        return;
    case DECODER_NOT_MINE:
        (void)snprintf(text, size, "what it sends is not of the format %s: gatehousectl scan ble shows its bytes",
                       s->config->format);
        return;
    case DECODER_STOPPED:
    case DECODER_TRUNCATED:
        (void)snprintf(text, size, "what it sends has no value that the format knows");
        return;
    case DECODED:
    case DECODER_DUPLICATE:
        break;
    }
    (void)snprintf(text, size, "not heard");
}

static bool within(uint64_t then, uint64_t now, uint64_t timeout)
{
    return then > 0 && (timeout == 0 || now - then <= timeout);
}

/* 0: nothing can be said yet. 1: said. */
static int judge_listening(const struct sensor *s, uint64_t now, enum gatehouse_state *state, char *text, size_t size)
{
    uint64_t timeout = s->config->timeout;

    if (within(s->decoded_at, now, timeout)) {
        *state = GATEHOUSE_STATE_OK;
        if (s->problem != DECODED && s->problem != DECODER_NOT_MINE && now > s->decoded_at + 10 * SEC) {
            *state = GATEHOUSE_STATE_DEGRADED;
            problem_words(s, text, size);
        }
        return 1;
    }
    *state = GATEHOUSE_STATE_FAILED;
    if (within(s->heard, now, timeout) && s->problem != DECODED) {
        problem_words(s, text, size);
        return 1;
    }
    if (timeout == 0 || now - s->opened <= timeout)
        return 0;
    (void)snprintf(text, size, "not heard for %llu s: is it near, and its battery good?%s",
                   (unsigned long long)((now - (s->decoded_at ?: s->heard ?: s->opened)) / SEC),
                   s->config->passive ? " If it always sends the same: \"scan\": \"active\"" : "");
    return 1;
}

static int judge_connected(const struct sensor *s, uint64_t now, enum gatehouse_state *state, char *text, size_t size)
{
    if (s->link_problem[0]) {
        *state = GATEHOUSE_STATE_FAILED;
        (void)snprintf(text, size, "%s", s->link_problem);
        return 1;
    }
    if (s->crowded_since > 0 && now - s->crowded_since >= CROWDED_TOLD) {
        *state = GATEHOUSE_STATE_FAILED;
        (void)snprintf(text, size,
                       "waiting for a connection: %d are open on this adapter, the most at a time; give some sensors "
                       "another adapter, or longer \"read\" and no \"notify\"",
                       CONNECTIONS_MAX);
        return 1;
    }
    *state = GATEHOUSE_STATE_OK;
    if (s->n_samples > 0 || s->link == LINK_READY)
        return 1;
    if (s->present || s->config->timeout == 0 || now - s->opened <= s->config->timeout)
        return 0;
    *state = GATEHOUSE_STATE_FAILED;
    (void)snprintf(text, size, "not heard: is it near, and its battery good?");
    return 1;
}

static void judge(struct sensor *s, uint64_t now)
{
    const char *trouble = adapter_trouble(s->hub, s);
    char text[2 * REASON_MAX] = "", other[2 * REASON_MAX] = "";
    enum gatehouse_state state = GATEHOUSE_STATE_OK, second = GATEHOUSE_STATE_OK;
    int known = 0;

    if (trouble) {
        /* A moment for bluetoothd to start again; what was heard just now counts. */
        if (now - s->opened > 2 * SEC)
            s->hub->host->device_state(s->handle, GATEHOUSE_STATE_FAILED, trouble);
        return;
    }
    if (ble_config_listens(s->config))
        known = judge_listening(s, now, &state, text, sizeof text);
    if (s->config->n_gatt > 0) {
        int also = judge_connected(s, now, &second, other, sizeof other);

        if (also && (!known || second > state)) {
            state = second;
            memcpy(text, other, sizeof text);
        }
        known = known || also;
    }
    if (known && state == GATEHOUSE_STATE_OK)
        (void)adapter_why_active(s->hub, s, text, sizeof text);
    if (known)
        s->hub->host->device_state(s->handle, state, text[0] ? text : NULL);
}

void sensor_count(struct sensor *s)
{
    static const struct {
        const char *name;
        enum decoder_result result;
    } rows[] = {{"repeated", DECODER_DUPLICATE},
                {"wrong_key", DECODER_WRONG_KEY},
                {"not_encrypted", DECODER_PLAIN_AFTER_KEY},
                {"no_key", DECODER_NEEDS_KEY},
                {"held_back", DECODER_REPLAY_OR_HELD},
                {"unknown_format", DECODER_NOT_MINE},
                {"cut_off", DECODER_TRUNCATED}};
    const struct gatehouse_host *host = s->hub->host;

    (void)host->count(s->handle, "heard", s->n_heard);
    (void)host->count(s->handle, "samples", s->n_samples);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        (void)host->count(s->handle, rows[i].name, s->n_results[rows[i].result]);
}

void sensor_tick(struct sensor *s, uint64_t now)
{
    tell_counter(s, now);
    judge(s, now);
    sensor_count(s);
}
