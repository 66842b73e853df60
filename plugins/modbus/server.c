/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "server.h"

#include "host.h"
#include "pdu.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct modbus_server {
    struct modbus_server *next;
    unsigned references;
    struct modbus_url url;
    struct serial_settings settings;
    char bus[BUS_MAX];

    struct line line;
    uint64_t answered[4]; /* a bit a unit: it has answered over this connection */
    unsigned silences;    /* requests in a row that should have been answered */
    struct backoff backoff;
    uint64_t retry_at;
    char reason[BUS_MAX + 200];
    uint16_t room[READ_BITS_MAX];
};

/* One request. */
struct question {
    uint8_t pdu[PDU_MAX];
    size_t pdu_size;
    bool write;
};

static pthread_mutex_t servers_lock = PTHREAD_MUTEX_INITIALIZER;
static struct modbus_server *servers;

/* --- sharing --- */

static struct modbus_server *server_new(const struct modbus_url *url, const struct serial_settings *settings,
                                        const char *bus)
{
    struct modbus_server *s = calloc(1, sizeof *s);

    if (!s)
        return NULL;
    s->url = *url;
    s->settings = *settings;
    (void)snprintf(s->bus, sizeof s->bus, "%s", bus);
    line_init(&s->line, &s->url, &s->settings);
    s->next = servers;
    servers = s;
    return s;
}

static bool same_settings(const struct serial_settings *a, const struct serial_settings *b)
{
    return a->rs485 == b->rs485 && a->rts_delay == b->rts_delay && a->echo == b->echo &&
           a->low_latency == b->low_latency;
}

/* One line has one mode, whoever of its devices is opened first. */
static int compare_settings(const struct modbus_server *s, const struct modbus_url *url,
                            const struct serial_settings *settings, char *error, size_t size)
{
    char mine[64], theirs[64];

    modbus_url_mode(url, mine, sizeof mine);
    modbus_url_mode(&s->url, theirs, sizeof theirs);
    if (url->transport == TRANSPORT_RTU && strcmp(mine, theirs) != 0) {
        (void)snprintf(error, size, "/section/url: another device has %s open with %s, this one wants %s", s->bus,
                       theirs, mine);
        return -EEXIST;
    }
    if (!same_settings(&s->settings, settings)) {
        (void)snprintf(error, size,
                       "/section: another device has %s open with another rs485, rts_delay, echo or low_latency; they "
                       "are the line's, and all its devices have to say the same",
                       s->bus);
        return -EEXIST;
    }
    return 0;
}

int server_get(const struct modbus_url *url, const struct serial_settings *settings, struct modbus_server **ret,
               char *error, size_t error_size)
{
    struct modbus_server *s;
    char bus[BUS_MAX];
    int r = 0;

    modbus_url_bus(url, bus, sizeof bus);
    (void)pthread_mutex_lock(&servers_lock);
    for (s = servers; s; s = s->next)
        if (strcmp(s->bus, bus) == 0)
            break;
    if (s)
        r = compare_settings(s, url, settings, error, error_size);
    else if (!(s = server_new(url, settings, bus)))
        r = -ENOMEM;
    if (r == 0) {
        s->references++;
        *ret = s;
    }
    (void)pthread_mutex_unlock(&servers_lock);
    return r;
}

struct modbus_server *server_put(struct modbus_server *s)
{
    if (!s)
        return NULL;
    (void)pthread_mutex_lock(&servers_lock);
    bool last = --s->references == 0;
    for (struct modbus_server **p = &servers; last && *p; p = &(*p)->next)
        if (*p == s) {
            *p = s->next;
            break;
        }
    (void)pthread_mutex_unlock(&servers_lock);
    if (last) {
        line_close(&s->line);
        free(s);
    }
    return NULL;
}

uint64_t server_retry_at(const struct modbus_server *s)
{
    return s->retry_at;
}

const char *server_reason(const struct modbus_server *s)
{
    return s->reason;
}

uint16_t *server_room(struct modbus_server *s)
{
    return s->room;
}

bool server_has_broadcast(const struct modbus_server *s)
{
    return line_has_broadcast(&s->line);
}

bool server_is_shared(const struct modbus_server *s)
{
    (void)pthread_mutex_lock(&servers_lock);
    bool shared = s->references > 1;
    (void)pthread_mutex_unlock(&servers_lock);
    return shared;
}

void server_disconnect(struct modbus_server *s)
{
    line_close(&s->line);
}

/* --- the connection --- */

static void wait_for(uint64_t duration)
{
    struct timespec t = {.tv_sec = (time_t)(duration / SEC), .tv_nsec = (long)(duration % SEC) * 1000};

    while (duration > 0 && clock_nanosleep(CLOCK_MONOTONIC, 0, &t, &t) == EINTR)
        ;
}

static int ensure_line(struct modbus_server *s, const struct server_terms *terms, struct modbus_failure *failure)
{
    char error[192];

    if (s->line.fd >= 0)
        return 0;
    modbus_host->deadline(2 * terms->timeout + ATTEMPT_ROOM);
    if (line_open(&s->line, terms->timeout, error, sizeof error) < 0) {
        (void)snprintf(s->reason, sizeof s->reason, "%s: %s", s->bus, error);
        (void)snprintf(failure->text, sizeof failure->text, "%s", s->reason);
        failure->kind = FAILURE_SERVER;
        failure->exception = -1;
        s->retry_at =
            monotonic_now() +
            backoff_next_up_to(&s->backoff, s->url.transport == TRANSPORT_RTU ? BACKOFF_SERIAL_MAX : BACKOFF_MAX);
        return -EHOSTUNREACH;
    }
    if (terms->counts)
        terms->counts->connects++;
    s->backoff.delay = 0;
    s->retry_at = 0;
    s->silences = 0;
    memset(s->answered, 0, sizeof s->answered);
    modbus_host->deadline(terms->delay_after_connect + ATTEMPT_ROOM);
    wait_for(terms->delay_after_connect);
    return 0;
}

static void note_answer(struct modbus_server *s, unsigned unit)
{
    s->silences = 0;
    s->answered[unit / 64] |= UINT64_C(1) << unit % 64;
}

/* A connection may be dead though nobody closed it: a server that restarted, a router that forgot it. It is one unit's
 * silence as long as others answer, or it never has. */
static void note_silence(struct modbus_server *s, const struct server_terms *terms)
{
    bool nobody = !(s->answered[0] | s->answered[1] | s->answered[2] | s->answered[3]);
    bool had_answered = s->answered[terms->unit / 64] >> terms->unit % 64 & 1;

    if (nobody || had_answered)
        s->silences++;
    if (terms->close_on_timeout || !terms->check_transaction ||
        (s->url.transport != TRANSPORT_RTU && s->silences >= SILENCES_MAX && !terms->may_be_absent))
        line_close(&s->line);
}

/* --- asking --- */

static int fail_unit(const struct server_terms *terms, struct modbus_failure *failure, const char *what)
{
    failure->kind = FAILURE_UNIT;
    failure->exception = -1;
    (void)snprintf(failure->text, sizeof failure->text, "unit %u: %s", terms->unit, what);
    return -ETIMEDOUT;
}

static int fail_exception(int code, const struct server_terms *terms, struct modbus_failure *failure)
{
    bool gateway = code == EXCEPTION_GATEWAY_PATH || code == EXCEPTION_GATEWAY_TARGET;

    failure->kind = gateway ? FAILURE_UNIT : FAILURE_EXCEPTION;
    failure->exception = code;
    if (gateway)
        (void)snprintf(failure->text, sizeof failure->text, "unit %u: %s", terms->unit, pdu_exception_text(code));
    else
        (void)snprintf(failure->text, sizeof failure->text, "exception %d, %s", code, pdu_exception_text(code));
    return -EREMOTEIO;
}

static int fail_silence(struct modbus_server *s, const struct server_terms *terms, const struct frame_noise *noise,
                        struct modbus_failure *failure)
{
    char text[160];

    note_silence(s, terms);
    if (noise->bad_crc > 0)
        return fail_unit(terms, failure, "answers, but with a wrong checksum: is the line disturbed?");
    if (noise->other_units > 0)
        return fail_unit(terms, failure, "does not answer, but another unit does in its place");
    if (noise->bytes > 0 && s->url.transport == TRANSPORT_RTU) {
        (void)snprintf(text, sizeof text,
                       "does not answer; %zu bytes came that are no answer to it: are baud and parity right?",
                       noise->bytes);
        return fail_unit(terms, failure, text);
    }
    return fail_unit(terms, failure, "does not answer");
}

static int fail_exchange(struct modbus_server *s, int error, const struct server_terms *terms,
                         const struct frame_noise *noise, struct modbus_failure *failure)
{
    char text[160];

    switch (-error) {
    case ETIMEDOUT:
        return fail_silence(s, terms, noise, failure);
    case EBADMSG:
        return fail_unit(terms, failure, "answers what does not fit the request");
    case EPROTO:
        line_close(&s->line);
        return fail_unit(terms, failure, "answers what is not Modbus");
    case ECONNRESET:
    case ENOTCONN:
        line_close(&s->line);
        return fail_unit(terms, failure, "the server closed the connection instead of answering");
    default:
        line_close(&s->line);
        (void)snprintf(text, sizeof text, "the line failed: %s", strerror(-error));
        return fail_unit(terms, failure, text);
    }
}

static void count_exception(struct modbus_counts *c, int code)
{
    c->exceptions++;
    for (size_t i = 0; i < COUNTED_CODES_MAX; i++)
        if (c->codes[i].n == 0 || c->codes[i].code == code) {
            c->codes[i].code = code;
            c->codes[i].n++;
            return;
        }
}

static void count(struct modbus_counts *c, const struct line *l, int r, const struct frame_answer *answer,
                  const struct frame_noise *noise)
{
    c->crc_errors += noise->bad_crc;
    c->requests += r != -ENOTCONN;
    c->timeouts += r == -ETIMEDOUT;
    c->misfits += r == -EBADMSG || r == -EPROTO;
    if (r < 0 || answer->pdu_size == 0)
        return;
    c->round_trip = l->last_byte - l->sent_at;
    if (pdu_exception(answer->pdu) >= 0)
        count_exception(c, pdu_exception(answer->pdu));
}

static int ask_once(struct modbus_server *s, const struct server_terms *terms, const struct question *q,
                    struct frame_answer *answer, struct frame_noise *noise)
{
    const struct line_terms line_terms = {.unit = (uint8_t)terms->unit,
                                          .timeout = terms->timeout,
                                          .pause = terms->pause,
                                          .turnaround = terms->turnaround,
                                          .check_transaction = terms->check_transaction,
                                          .trace = terms->trace,
                                          .device = terms->device};

    modbus_host->deadline(2 * terms->timeout + terms->pause + ATTEMPT_ROOM);
    int r = line_exchange(&s->line, &line_terms, q->pdu, q->pdu_size, answer, noise);
    if (terms->counts)
        count(terms->counts, &s->line, r, answer, noise);
    return r;
}

/* Whether what came besides may be the answer to an older request, so that this server is slower than it is waited for.
 */
static bool is_late(const struct modbus_server *s, const struct server_terms *terms, int r,
                    const struct frame_noise *noise)
{
    if (s->url.transport == TRANSPORT_TCP)
        return terms->check_transaction && noise->strays > noise->other_units;
    return r == -ETIMEDOUT && noise->bytes >= RTU_ANSWER_MIN;
}

/* A connection that the peer closed while nobody looked costs a new one and nothing else, if the request did not go out
 * or may be repeated. */
static int ask(struct modbus_server *s, const struct server_terms *terms, const struct question *q,
               struct frame_answer *answer, struct modbus_failure *failure)
{
    bool was_open = s->line.fd >= 0;
    struct frame_noise noise;
    int r;

    failure->late = false;
    r = ensure_line(s, terms, failure);

    if (r < 0)
        return r;
    r = ask_once(s, terms, q, answer, &noise);
    if (was_open && (r == -ENOTCONN || (r == -ECONNRESET && !q->write))) {
        line_close(&s->line);
        r = ensure_line(s, terms, failure);
        if (r < 0)
            return r;
        r = ask_once(s, terms, q, answer, &noise);
    }
    failure->late = is_late(s, terms, r, &noise);
    if (r < 0)
        return fail_exchange(s, r, terms, &noise, failure);
    if (answer->pdu_size == 0)
        return 0;
    note_answer(s, terms->unit);
    int exception = pdu_exception(answer->pdu);
    return exception < 0 ? 0 : fail_exception(exception, terms, failure);
}

int server_read(struct modbus_server *s, const struct server_terms *terms, enum modbus_table table, uint16_t address,
                uint16_t count, uint16_t *values, struct modbus_failure *ret_failure)
{
    struct question q = {.write = false};
    struct frame_answer answer;
    int r;

    if (terms->unit == 0 && server_has_broadcast(s)) {
        ret_failure->kind = FAILURE_UNIT;
        ret_failure->exception = -1;
        ret_failure->late = false;
        (void)snprintf(ret_failure->text, sizeof ret_failure->text, "unit 0 is all units, and none of them answers");
        return -ETIMEDOUT;
    }
    q.pdu_size = pdu_read(table, address, count, q.pdu);
    r = ask(s, terms, &q, &answer, ret_failure);
    if (r == 0)
        pdu_values(table, count, answer.pdu, values);
    return r;
}

int server_identify(struct modbus_server *s, const struct server_terms *terms, struct pdu_identification *ret,
                    struct modbus_failure *ret_failure)
{
    struct question q = {.write = false};
    struct frame_answer answer;
    int r;

    q.pdu_size = pdu_identify(q.pdu);
    r = ask(s, terms, &q, &answer, ret_failure);
    if (r == 0)
        pdu_identification(answer.pdu, answer.pdu_size, ret);
    return r;
}

int server_write(struct modbus_server *s, const struct server_terms *terms, enum modbus_table table, uint16_t address,
                 uint16_t count, const uint16_t *values, bool multiple, struct modbus_failure *ret_failure)
{
    struct question q = {.write = true};
    uint16_t now[READ_BITS_MAX];
    struct frame_answer answer;
    int r = ensure_line(s, terms, ret_failure);

    if (r < 0)
        return r;
    /* The answer to function 5 or 6 looks like the line's echo of the request. Whether there is one shows in a read. */
    if (line_echo_is_unknown(&s->line) && terms->unit != 0 && count == 1 && !multiple) {
        r = server_read(s, terms, table, address, count, now, ret_failure);
        if (r < 0 && line_echo_is_unknown(&s->line))
            return r;
    }
    q.pdu_size = pdu_write(table, address, count, values, multiple, q.pdu);
    return ask(s, terms, &q, &answer, ret_failure);
}
