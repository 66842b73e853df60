/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/text.h"
#include "uplink/mqtt-session.h"

#include <errno.h>
#include <mosquitto.h>
#include <stdlib.h>
#include <string.h>

/* ── Requests ── */

static void unlink_call(struct mqtt_call *call)
{
    struct mqtt_session *c = call->session;

    *call->link = call->next;
    if (call->next)
        call->next->link = call->link;
    else
        c->last = call->link;
    c->n_calls--;
    if (call->mid)
        c->in_flight--;
}

static void finish_call(struct mqtt_call *call, int r, uint8_t code, const char *words)
{
    const struct uplink_response response = {
        .code = code, .words = words, .too_large = code == MQTT_TOO_LARGE, .content_format = -1, .observe = -1};

    unlink_call(call);
    if (call->done)
        call->done(r, r < 0 ? NULL : &response, call->userdata);
    free(call);
}

static unsigned window(const struct mqtt_session *c)
{
    unsigned nstart = c->session.uplink->nstart ? c->session.uplink->nstart : MQTT_NSTART;

    if (c->one_by_one)
        return 1;
    return MIN_OF(nstart, mqtt_receive_maximum(c->open));
}

static struct mqtt_call *first_waiting(const struct mqtt_session *c)
{
    struct mqtt_call *call = c->first;

    while (call && (call->mid || call->ended))
        call = call->next;
    return call;
}

static struct mqtt_call *first_in_flight(const struct mqtt_session *c)
{
    struct mqtt_call *call = c->first;

    while (call && !call->mid)
        call = call->next;
    return call;
}

static bool awaits_suback(const struct mqtt_session *c)
{
    for (const struct mqtt_subscription *sub = c->subscriptions; sub; sub = sub->next)
        if (sub->mid && !sub->cancelled)
            return true;
    return false;
}

/* Beside a suspect nothing else is under way. */
static bool may_go(const struct mqtt_session *c, const struct mqtt_call *call)
{
    const struct mqtt_call *out = first_in_flight(c);

    return call->suspect ? !out && !awaits_suback(c) : !out || !out->suspect;
}

/* As many as have failed by now: who is told may ask for more that fail. */
static int on_failing(sd_event_source *source, void *userdata)
{
    struct mqtt_session *c = userdata;
    struct mqtt_call *call;
    size_t n = 0;

    session_enter(&c->session);
    for (call = c->first; call; call = call->next)
        n += call->ended;
    while (n-- > 0) {
        for (call = c->first; call && !call->ended; call = call->next)
            ;
        if (call)
            finish_call(call, call->result, call->code, NULL);
    }
    session_leave(&c->session);
    return 0;
}

/* Not told from here: who is told asks for the next one, which may fail alike, and each would stand upon the stack of
 * the one before it. */
static int end_later(struct mqtt_session *c, struct mqtt_call *call, int r, uint8_t code)
{
    int k = c->failing ? 0 : sd_event_add_defer(c->session.uplink->event, &c->failing, on_failing, c);

    if (k >= 0)
        k = sd_event_source_set_enabled(c->failing, SD_EVENT_ONESHOT);
    if (k < 0)
        return k;
    call->ended = true;
    call->result = r;
    call->code = code;
    return 0;
}

void mqtt_requests_pump(struct mqtt_session *c)
{
    struct mqtt_call *call;
    int mid = 0, r;

    while (c->open && c->draining_until == 0 && c->in_flight < window(c) && (call = first_waiting(c)) &&
           may_go(c, call)) {
        r = mqtt_publish(c->open, call->topic, call->payload, call->size, call->retain, &mid);
        if (r == -ENOTCONN)
            return; /* it is told that it is closed */
        if (r < 0) {
            if (end_later(c, call, r, 0) < 0)
                return; /* no memory: with what comes next */
            continue;
        }
        call->mid = mid;
        call->sent_at = clock_boottime();
        c->in_flight++;
    }
}

/* A message alone in flight is blamed; of several the first may be without fault, so they are sent one by one. */
void mqtt_requests_blamed(struct mqtt_session *c, enum mqtt_blame blame, uint8_t code)
{
    struct mqtt_call *call = first_in_flight(c);
    bool publishes = blame == MQTT_BLAMES_BY_CODE && code != MQTT_NOT_AUTHORISED; /* no SUBSCRIBE gets such a code */

    c->one_by_one |= blame == MQTT_BLAMES_NUMBER;
    if (!call || !call->done || blame == MQTT_BLAMES_NOTHING || blame == MQTT_BLAMES_NUMBER)
        return;
    if (c->in_flight > 1 || (awaits_suback(c) && !publishes)) {
        for (; call; call = call->next)
            call->suspect |= call->mid != 0;
    } else if (blame == MQTT_BLAMES_BY_CODE) {
        (void)end_later(c, call, 0, code);
        if (publishes)
            backoff_reset(&c->session.attempt.backoff);
    } else {
        call->suspect = true;
        if (++call->ends >= call->patience)
            (void)end_later(c, call, blame == MQTT_BLAMES_SILENCE ? -ETIMEDOUT : -ECONNABORTED, 0);
        /* No reason to wait as for a server that is away: something else comes instead, soon. */
        if (blame == MQTT_BLAMES_MESSAGE || (blame == MQTT_BLAMES_PERHAPS && call->ended && call->divisible))
            backoff_reset(&c->session.attempt.backoff);
    }
}

void mqtt_requests_lost(struct mqtt_session *c)
{
    struct mqtt_call *next;

    for (struct mqtt_call *call = c->first; call; call = next) {
        next = call->next;
        if (!call->done) {
            unlink_call(call);
            free(call);
        } else {
            call->mid = 0;
        }
    }
    c->in_flight = 0;
    for (struct mqtt_subscription *sub = c->subscriptions; sub; sub = sub->next)
        sub->mid = 0;
}

static void cancel_call(struct uplink_call *head)
{
    struct mqtt_call *call = (struct mqtt_call *)head;
    struct uplink_session *s = &call->session->session;
    uplink_done done = call->done;

    session_enter(s);
    if (call->mid) {
        call->done = NULL;
        done(-ECANCELED, NULL, call->userdata);
    } else {
        finish_call(call, -ECANCELED, 0, NULL);
    }
    session_leave(s);
}

static int check_topic(const char *topic)
{
    size_t n = strlen(topic);

    if (n > MQTT_TOPIC_MAX)
        return -EMSGSIZE;
    return n == 0 || mosquitto_pub_topic_check(topic) != MOSQ_ERR_SUCCESS ||
                   mosquitto_validate_utf8(topic, (int)n) != MOSQ_ERR_SUCCESS
               ? -EINVAL
               : 0;
}

int mqtt_request(struct uplink_session *s, const struct uplink_request *request, uplink_done done, void *userdata,
                 struct uplink_call **ret)
{
    struct mqtt_session *c = mqtt_session(s);
    size_t n = strlen(request->target) + 1;
    struct mqtt_call *call;
    int r = check_topic(request->target);

    if (r < 0)
        return r;
    if (request->secret)
        return -EINVAL; /* nobody is told a key through a broker */
    if (request->payload_size > MQTT_PAYLOAD_MAX)
        return -EMSGSIZE;
    if (c->n_calls >= MQTT_REQUESTS_MAX)
        return -ENOBUFS;
    call = malloc(sizeof(*call) + n + request->payload_size);
    if (!call)
        return -ENOMEM;
    *call = (struct mqtt_call){
        .call.cancel = cancel_call,
        .link = c->last,
        .session = c,
        .done = done,
        .userdata = userdata,
        .retain = request->retain,
        .divisible = request->divisible,
        .suspect = request->suspect,
        .patience = request->ends ? request->ends : UPLINK_ENDS,
        .size = request->payload_size,
        .payload = (uint8_t *)call->topic + n,
    };
    memcpy(call->topic, request->target, n);
    if (call->size > 0)
        memcpy(call->payload, request->payload, call->size);
    *c->last = call;
    c->last = &call->next;
    c->n_calls++;
    if (ret)
        *ret = &call->call;
    mqtt_requests_pump(c);
    return 0;
}

/* ── Subscriptions ── */

static void free_subscription(struct mqtt_subscription *sub)
{
    *sub->link = sub->next;
    if (sub->next)
        sub->next->link = sub->link;
    sub->session->n_subscriptions--;
    free(sub);
}

static void visit_done(struct mqtt_session *c)
{
    struct mqtt_subscription *next;

    if (--c->visiting > 0)
        return;
    for (struct mqtt_subscription *sub = c->subscriptions; sub; sub = next) {
        next = sub->next;
        if (sub->cancelled)
            free_subscription(sub);
    }
}

static bool filter_in_use(const struct mqtt_session *c, const char *filter)
{
    for (const struct mqtt_subscription *sub = c->subscriptions; sub; sub = sub->next)
        if (!sub->cancelled && strcmp(sub->filter, filter) == 0)
            return true;
    return false;
}

static void cancel_subscription(struct uplink_subscription *head)
{
    struct mqtt_subscription *sub = (struct mqtt_subscription *)head;
    struct mqtt_session *c = sub->session;

    c->visiting++;
    sub->cancelled = true;
    if (c->open && !filter_in_use(c, sub->filter))
        mqtt_unsubscribe(c->open, sub->filter);
    visit_done(c);
}

/* A subscription that cannot be sent now is sent on the next connection. */
static void ask_for(struct mqtt_subscription *sub)
{
    struct mqtt_session *c = sub->session;

    sub->mid = 0;
    if (c->open && mqtt_subscribe(c->open, sub->filter, &sub->mid) == 0)
        sub->asked_at = clock_boottime();
}

int mqtt_listen(struct uplink_session *s, const char *target, int accept, uplink_notification notify, void *userdata,
                struct uplink_subscription **ret)
{
    struct mqtt_session *c = mqtt_session(s);
    size_t n = strlen(target) + 1;
    struct mqtt_subscription *sub;

    if (n > MQTT_TOPIC_MAX)
        return -EMSGSIZE;
    if (n == 1 || mosquitto_sub_topic_check(target) != MOSQ_ERR_SUCCESS ||
        mosquitto_validate_utf8(target, (int)n - 1) != MOSQ_ERR_SUCCESS)
        return -EINVAL;
    if (c->n_subscriptions >= MQTT_SUBSCRIPTIONS_MAX)
        return -ENOBUFS;
    sub = malloc(sizeof(*sub) + n);
    if (!sub)
        return -ENOMEM;
    *sub = (struct mqtt_subscription){
        .subscription.cancel = cancel_subscription,
        .next = c->subscriptions,
        .link = &c->subscriptions,
        .session = c,
        .notify = notify,
        .userdata = userdata,
    };
    memcpy(sub->filter, target, n);
    if (sub->next)
        sub->next->link = &sub->next;
    c->subscriptions = sub;
    c->n_subscriptions++;
    *ret = &sub->subscription;
    ask_for(sub);
    return 0;
}

/* ── What a connection does ── */

/* Whether somebody listens to its topic. */
static bool tell(struct mqtt_session *c, const char *topic, const void *payload, size_t n)
{
    const struct uplink_response response = {
        .payload = n > 0 ? payload : (const void *)"",
        .payload_size = n,
        .topic = topic,
        .content_format = -1,
        .observe = -1,
    };
    bool matches, told = false;

    c->visiting++;
    for (struct mqtt_subscription *sub = c->subscriptions; sub; sub = sub->next)
        if (!sub->cancelled && mosquitto_topic_matches_sub(sub->filter, topic, &matches) == MOSQ_ERR_SUCCESS &&
            matches) {
            told = true;
            sub->notify(0, &response, sub->userdata);
        }
    visit_done(c);
    return told;
}

static size_t early_size(const struct mqtt_early *early)
{
    return strlen(early->topic) + 1 + early->size;
}

static void free_early(struct mqtt_session *c, struct mqtt_early *early)
{
    c->n_early--;
    c->early_bytes -= early_size(early);
    free(early);
}

static void tell_dropped(struct mqtt_session *c, const char *topic)
{
    log_limited(
        &c->dropping, LOG_WARNING, c->session.label,
        "a message that the broker kept is lost: nobody subscribes to its topic %s, and there is no room to hold it",
        strlen(topic) <= MQTT_TOPIC_SHOWN && text_printable(topic, strlen(topic)) ? topic : "(not shown)");
}

/* For so many bytes more. The oldest go: they may be of filters that nobody subscribes to any more. */
static bool make_room_early(struct mqtt_session *c, size_t n)
{
    while (n <= MQTT_EARLY_BYTES_MAX && (c->n_early >= MQTT_EARLY_MAX || c->early_bytes + n > MQTT_EARLY_BYTES_MAX)) {
        struct mqtt_early *oldest = c->early;

        if (!oldest)
            return false; /* they are being told */
        c->early = oldest->next;
        tell_dropped(c, oldest->topic);
        free_early(c, oldest);
    }
    return n <= MQTT_EARLY_BYTES_MAX;
}

/* Messages of a session that the broker kept come before anybody has subscribed, and count as delivered: they are kept
 * until their topic is, in order and within bounds. */
static void keep_early(struct mqtt_session *c, const char *topic, const void *payload, size_t n)
{
    size_t length = strlen(topic) + 1;
    struct mqtt_early *early = NULL, **last = &c->early;

    if (make_room_early(c, length + n))
        early = malloc(sizeof(*early) + length + n);
    if (!early) {
        tell_dropped(c, topic);
        return;
    }
    *early = (struct mqtt_early){.size = n, .payload = (uint8_t *)early->topic + length};
    memcpy(early->topic, topic, length);
    if (n > 0)
        memcpy(early->payload, payload, n);
    while (*last)
        last = &(*last)->next;
    *last = early;
    c->n_early++;
    c->early_bytes += early_size(early);
}

/* Tells each message whose topic is listened to now; the rest goes on waiting. `drop`: nobody will listen any more. */
static void go_through_early(struct mqtt_session *c, bool drop)
{
    struct mqtt_early *list = TAKE_PTR(c->early), **last = &c->early;
    size_t lost = 0;

    while (list) {
        struct mqtt_early *early = list;
        bool told = !drop && c->session.life != SESSION_STOPPED && tell(c, early->topic, early->payload, early->size);

        list = early->next;
        early->next = NULL;
        if (told || drop || c->session.life == SESSION_STOPPED) {
            lost += !told;
            free_early(c, early);
            continue;
        }
        *last = early;
        last = &early->next;
    }
    if (lost > 0)
        log_limited(&c->losing, LOG_WARNING, c->session.label,
                    "%zu messages that the broker kept are lost: the session ended before anybody subscribed to their "
                    "topics",
                    lost);
}

void mqtt_requests_start(struct mqtt_session *c)
{
    c->last = &c->first;
    if (c->dropping.interval > 0)
        return; /* it has run before */
    ratelimit_init(&c->dropping, USEC_PER_MINUTE, 1);
    ratelimit_init(&c->losing, USEC_PER_MINUTE, 2);
}

void mqtt_requests_stop(struct mqtt_session *c)
{
    c->failing = sd_event_source_disable_unref(c->failing);
    while (c->first)
        finish_call(c->first, -ECANCELED, 0, NULL);
    go_through_early(c, true);
    c->visiting++;
    for (struct mqtt_subscription *sub = c->subscriptions; sub; sub = sub->next)
        sub->cancelled = true;
    visit_done(c);
}

void mqtt_requests_subscribe(struct mqtt_session *c)
{
    for (struct mqtt_subscription *sub = c->subscriptions; sub; sub = sub->next)
        if (!sub->cancelled)
            ask_for(sub);
}

/* Requests are in the order in which they were sent. */
uint64_t mqtt_requests_deadline(const struct mqtt_session *c)
{
    const struct mqtt_call *call = first_in_flight(c);
    uint64_t at = call ? call->sent_at : USEC_INFINITY;

    for (const struct mqtt_subscription *sub = c->subscriptions; sub; sub = sub->next)
        if (sub->mid)
            at = MIN_OF(at, sub->asked_at);
    return at == USEC_INFINITY ? at : at + MQTT_ANSWER_TIMEOUT;
}

void mqtt_requests_published(struct mqtt_session *c, int mid, uint8_t reason, const char *words)
{
    struct mqtt_call *call = c->first;

    while (call && call->mid != mid)
        call = call->next;
    if (call)
        finish_call(call, 0, reason, words);
}

void mqtt_requests_subscribed(struct mqtt_session *c, int mid, uint8_t reason, const char *words)
{
    const struct uplink_response refusal = {.code = reason, .words = words, .content_format = -1, .observe = -1};

    c->visiting++;
    for (struct mqtt_subscription *sub = c->subscriptions; sub; sub = sub->next) {
        if (sub->cancelled || sub->mid != mid)
            continue;
        sub->mid = 0;
        if (MQTT_FAILS(reason))
            sub->notify(0, &refusal, sub->userdata);
    }
    visit_done(c);
    if (c->early && !MQTT_FAILS(reason))
        go_through_early(c, false);
}

void mqtt_requests_message(struct mqtt_session *c, const char *topic, const void *payload, size_t n)
{
    if (!tell(c, topic, payload, n) && c->session.uplink->mqtt.session_expiry > 0)
        keep_early(c, topic, payload, n);
}
