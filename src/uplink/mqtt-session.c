/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Sessions over MQTT: requests are publications of QoS 1, in order, upon connections (mqtt.h) of which there is never
 * more than one. What was not acknowledged on one connection is published again, the same bytes, on the next. */
#include "uplink/mqtt-session.h"
#include "base/clock.h"
#include "base/limits.h"
#include "vault/key.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ── The connections ── */

static void drop_making(struct uplink_session *s)
{
    struct mqtt_session *c = mqtt_session(s);

    c->making = mqtt_free(c->making);
    c->ask = mqtt_ask_free(c->ask);
    c->draining_until = 0;
    c->older = false;
}

static void drop_open(struct uplink_session *s, enum uplink_bye bye)
{
    struct mqtt_session *c = mqtt_session(s);

    if (bye != UPLINK_SILENT)
        mqtt_bye(c->open, bye == UPLINK_BYE_FOR_GOOD);
    c->open = mqtt_free(c->open);
}

static void lost(struct uplink_session *s)
{
    mqtt_requests_lost(mqtt_session(s));
}

static int op_key(void *userdata, const char **ret_identity, struct secret **ret_key, struct error *e)
{
    return attempt_key(userdata, ret_identity, ret_key, e);
}

static int begin_connection(struct mqtt_session *c, struct error *e);

static bool may_ask_older(const struct mqtt_session *c)
{
    return c->session.uplink->mqtt.version == UPLINK_MQTT_AUTO && !c->older;
}

/* A TLS handshake made ready for a port where nobody listens is dear, and each child would make one every few seconds.
 */
static void note_away(struct uplink_session *s, enum uplink_trouble trouble, const char *reason)
{
    s->uplink->mqtt.away.address = s->attempt.address;
    s->uplink->mqtt.away.at = clock_boottime();
    s->uplink->mqtt.away.trouble = trouble;
    error_set(&s->uplink->mqtt.away.words, 0, "%s", reason);
}

static bool known_away(const struct uplink_session *s)
{
    const struct uplink *u = s->uplink;

    return s->life != SESSION_ONCE && u->mqtt.away.at != 0 && clock_boottime() - u->mqtt.away.at < MQTT_AWAY_KNOWN &&
           resolver_address_equal(&u->mqtt.away.address, &s->attempt.address);
}

static void op_failed(void *userdata, enum mqtt_failure failure, enum uplink_trouble trouble, const char *reason);

static int begin_asking(struct mqtt_session *c, struct error *e)
{
    struct uplink_session *s = &c->session;

    c->making = mqtt_free(c->making);
    return mqtt_ask_new(s->uplink->mqtt.shared, &s->attempt.address, session_host(s)->server_name,
                        vault_credential(s->entry, s->slot)->identity ?: "", op_failed, c, &c->ask, e);
}

/* Whether the next attempt goes to the server that the broker has named. */
static bool refers(struct mqtt_session *c, const struct mqtt *connection, const struct uplink_host *by)
{
    _cleanup_free_ char *reference = NULL;

    if (!connection || !mqtt_reference(connection))
        return false;
    reference = strdup(mqtt_reference(connection)); /* the connection may go */
    return session_refer(&c->session, by, reference);
}

static void op_failed(void *userdata, enum mqtt_failure failure, enum uplink_trouble trouble, const char *reason)
{
    static const enum uplink_result results[] = {
        [MQTT_UNREACHABLE] = UPLINK_UNREACHABLE,
        [MQTT_ANSWERED] = UPLINK_REFUSED_ANSWER,
        [MQTT_FAILED] = UPLINK_FAILED,
        [MQTT_UNCLEAR] = UPLINK_FAILED,
        [MQTT_VERSION] = UPLINK_FAILED,
        [MQTT_HUNG_UP] = UPLINK_FAILED,
        [MQTT_LOCAL] = UPLINK_LOCAL,
    };
    struct mqtt_session *c = userdata;
    struct error e = {0};

    session_enter(&c->session);
    /* A hello with a key for ML-KEM is longer than one packet, which some boxes on the way do not let through. */
    if (c->making && mqtt_hello_lost(c->making))
        c->session.uplink->mqtt.plain_groups_until = clock_boottime() + MQTT_PLAIN_GROUPS_KEPT;
    if (failure == MQTT_UNREACHABLE)
        note_away(&c->session, trouble, reason);
    if ((failure == MQTT_VERSION || failure == MQTT_HUNG_UP) && may_ask_older(c)) {
        c->older = true;
        c->older_said = failure == MQTT_VERSION;
        c->making = mqtt_free(c->making);
        if (begin_connection(c, &e) < 0)
            attempt_failed(&c->session, UPLINK_LOCAL, UPLINK_TROUBLE_LOCAL, e.text);
    } else if (failure == MQTT_FAILED && refers(c, c->making, session_host(&c->session))) {
        attempt_begin(&c->session);
    } else if (failure != MQTT_UNCLEAR || !c->session.entry || begin_asking(c, &e) < 0) {
        attempt_failed(&c->session, results[failure], trouble, reason);
    }
    session_leave(&c->session);
}

static void op_opened(void *userdata)
{
    struct uplink_session *s = userdata;
    struct mqtt_session *c = mqtt_session(s);

    session_enter(s);
    if (c->older && c->older_said)
        s->uplink->mqtt.old_until = clock_boottime() + MQTT_OLD_VERSION_KEPT;
    s->uplink->mqtt.away.at = 0;
    c->open = TAKE_PTR(c->making);
    mqtt_requests_subscribe(c);
    attempt_opened(s, true);
    mqtt_requests_pump(c);
    session_leave(s);
}

/* The connection that stood says goodbye; in another turn of the loop, when the goodbye is on its way whoever was
 * calling, the new one begins. */
static void drained(struct mqtt_session *c)
{
    struct uplink_session *s = &c->session;
    struct error e = {0};

    if (s->standing.open) {
        session_drop_open(s, UPLINK_BYE);
        mqtt_requests_lost(c);
        session_set_state(s, UPLINK_STATE_CONNECTING, "");
        c->draining_until = clock_boottime();
        return;
    }
    c->draining_until = 0;
    if (begin_connection(c, &e) < 0)
        attempt_failed(s, UPLINK_LOCAL, UPLINK_TROUBLE_LOCAL, e.text);
}

static void op_published(void *userdata, int mid, uint8_t reason, const char *words)
{
    struct mqtt_session *c = userdata;

    session_enter(&c->session);
    mqtt_requests_published(c, mid, reason, words);
    if (c->draining_until && c->in_flight == 0)
        drained(c);
    else
        mqtt_requests_pump(c);
    session_leave(&c->session);
}

static void op_subscribed(void *userdata, int mid, uint8_t reason, const char *words)
{
    struct mqtt_session *c = userdata;

    session_enter(&c->session);
    mqtt_requests_subscribed(c, mid, reason, words);
    mqtt_requests_pump(c);
    session_leave(&c->session);
}

static void op_message(void *userdata, const char *topic, const void *payload, size_t n)
{
    struct mqtt_session *c = userdata;

    session_enter(&c->session);
    mqtt_requests_message(c, topic, payload, n);
    session_leave(&c->session);
}

static void op_closed(void *userdata, enum mqtt_blame blame, uint8_t code, const char *reason)
{
    struct mqtt_session *c = userdata;

    session_enter(&c->session);
    if (c->draining_until)
        c->draining_until = clock_boottime();
    mqtt_requests_blamed(c, blame, code);
    refers(c, c->open, standing_host(&c->session));
    attempt_closed(&c->session, reason);
    session_leave(&c->session);
}

static void op_rearm(void *userdata)
{
    session_rearm(userdata);
}

static const struct mqtt_ops mqtt_ops = {
    .key = op_key,
    .opened = op_opened,
    .failed = op_failed,
    .published = op_published,
    .subscribed = op_subscribed,
    .message = op_message,
    .closed = op_closed,
    .rearm = op_rearm,
};

static enum mqtt_version version_to_ask(const struct mqtt_session *c)
{
    switch (c->session.uplink->mqtt.version) {
    case UPLINK_MQTT_311:
        return MQTT_V311;
    case UPLINK_MQTT_5:
        return MQTT_V5;
    case UPLINK_MQTT_AUTO:
        break;
    }
    return c->older || clock_boottime() < c->session.uplink->mqtt.old_until ? MQTT_V311 : MQTT_V5;
}

/* In seconds, spread over the children. 0: none. */
static unsigned keepalive(const struct uplink *u)
{
    uint64_t seconds = (u->keepalive - backoff_spread(u->keepalive / 4)) / USEC_PER_SEC;

    return u->keepalive == USEC_INFINITY
               ? 0
               : (unsigned)MIN_OF(MAX_OF(seconds, (uint64_t)MQTT_KEEPALIVE_MIN), (uint64_t)UINT16_MAX);
}

static int introduce(struct uplink_session *s, struct uplink_introduction *ret)
{
    int r;

    if (s->only_handshake) {
        ret->client_id = strdup("handshake"); /* which nobody gets */
        return ret->client_id ? 0 : -ENOMEM;
    }
    r = s->ops->introduce ? s->ops->introduce(s->userdata, ret) : -EINVAL;
    return r >= 0 && !ret->client_id ? -EINVAL : r;
}

static int begin_connection(struct mqtt_session *c, struct error *e)
{
    _cleanup_(uplink_introduction_done) struct uplink_introduction who = {0};
    struct uplink_session *s = &c->session;
    struct uplink *u = s->uplink;
    struct vault_login login = {0};
    struct mqtt_options options;
    int r = introduce(s, &who);

    if (r < 0)
        return error_errno(e, r, "no client id");
    if (!s->only_handshake)
        r = vault_login_open(u->vault, vault_entry_device(s->entry), vault_entry_uplink(s->entry), &login, e);
    if (r < 0)
        return r;
    options = (struct mqtt_options){
        .shared = u->mqtt.shared,
        .ops = &mqtt_ops,
        .userdata = c,
        .address = &s->attempt.address,
        .server_name = session_host(s)->server_name,
        .version = version_to_ask(c),
        .keepalive = keepalive(u),
        .plain_groups = clock_boottime() < u->mqtt.plain_groups_until,
        .client_id = who.client_id,
        .user = login.user,
        .password = login.password,
        .will_topic = who.will_topic,
        .will = who.will_payload,
        .will_size = who.will_size,
        .will_retain = who.will_retain,
        .session_expiry = (uint32_t)MIN_OF(u->mqtt.session_expiry / USEC_PER_SEC, (uint64_t)UINT32_MAX - 1),
        .retained = u->mqtt.retained,
        .only_handshake = s->only_handshake,
        .keyless = !s->entry,
        .tcp_timeout = attempt_address_wait(s, MQTT_TCP_TIMEOUT),
        .tls_timeout =
            s->attempt.backoff.failures > 0 || s->life == SESSION_ONCE ? MQTT_TLS_PATIENCE : MQTT_TLS_TIMEOUT,
    };
    r = mqtt_new(&options, &c->making, e);
    secret_free(login.secret);
    if (r < 0)
        return r;
    mqtt_begin(c->making, clock_boottime());
    return 0;
}

static int make(struct uplink_session *s, const struct vault_credential *credential, struct error *e)
{
    struct mqtt_session *c = mqtt_session(s);

    s->attempt.full = true;
    if (!s->standing.open && known_away(s)) {
        attempt_failed(s, UPLINK_UNREACHABLE, s->uplink->mqtt.away.trouble, s->uplink->mqtt.away.words.text);
        return 0;
    }
    if (!s->standing.open)
        return begin_connection(c, e);
    c->draining_until = clock_boottime() + (c->in_flight > 0 ? MQTT_DRAIN_TIMEOUT : 0);
    if (c->in_flight == 0)
        drained(c);
    return 0;
}

/* ── What an owner sees ── */

static int start(struct uplink_session *s)
{
    mqtt_requests_start(mqtt_session(s));
    return 0;
}

static void stop(struct uplink_session *s)
{
    mqtt_requests_stop(mqtt_session(s));
}

static void drop_ticket(struct uplink_session *s)
{
    /* Each handshake is a full one. */
}

/* The old connection has ended before a new one is made, so there is no doubt while there is one. */
static bool doubted(const struct uplink_session *s)
{
    return false;
}

static uint64_t deadline(const struct uplink_session *s)
{
    const struct mqtt_session *c = mqtt_session(s);
    uint64_t at = c->making ? mqtt_deadline(c->making) : USEC_INFINITY;

    if (c->open) {
        at = MIN_OF(at, mqtt_deadline(c->open));
        at = MIN_OF(at, mqtt_requests_deadline(c));
    }
    return c->draining_until ? MIN_OF(at, c->draining_until) : at;
}

static void tick(struct uplink_session *s, uint64_t now)
{
    struct mqtt_session *c = mqtt_session(s);

    if (c->making)
        mqtt_tick(c->making, now);
    if (c->open)
        mqtt_tick(c->open, now);
    if (c->open && now >= mqtt_requests_deadline(c))
        op_closed(c, MQTT_BLAMES_SILENCE, 0, "the broker did not acknowledge in time");
    else if (c->draining_until && now >= c->draining_until)
        drained(c);
}

static int local_address(const struct uplink_session *s, struct resolver_address *ret)
{
    return mqtt_local_address(mqtt_session(s)->open, ret);
}

static void count(const struct uplink_session *s, struct uplink_counters *ret)
{
    /* Datagrams are not counted: there are none. */
}

static void info(const struct uplink_session *s, struct uplink_info *ret)
{
    const struct mqtt *open = mqtt_session(s)->open;

    ret->tells_refusals = mqtt_version(open) == MQTT_V5;
    mqtt_suite_text(open, ret->suite);
    mqtt_group_text(open, ret->group);
    ret->forward_secrecy = mqtt_forward_secrecy(open);
}

static size_t payload_max(const struct uplink_session *s)
{
    size_t packet = mqtt_packet_max(mqtt_session(s)->open);

    return packet > MQTT_BESIDE_PAYLOAD ? packet - MQTT_BESIDE_PAYLOAD : 0;
}

const struct transport mqtt_transport = {
    .size = sizeof(struct mqtt_session),
    .start = start,
    .stop = stop,
    .make = make,
    .drop_making = drop_making,
    .drop_open = drop_open,
    .lost = lost,
    .drop_ticket = drop_ticket,
    .doubted = doubted,
    .deadline = deadline,
    .tick = tick,
    .local_address = local_address,
    .count = count,
    .info = info,
    .payload_max = payload_max,
    .request = mqtt_request,
    .subscribe = mqtt_listen,
};
