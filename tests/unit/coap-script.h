/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A scripted peer with a virtual clock for tests of the CoAP endpoint. A script is lines:
 *
 *   get|non|delete PATH    ask; put|post|fetch|secret PATH SIZE: with a payload of that size; ping
 *   observe PATH           unobserve, cancel N: the Nth request
 *   < MESSAGE              the peer sends it
 *   raw HEX                the peer sends that datagram
 *   +MS                    time passes; tick LO HI: the next deadline is LO..HI ms away, and comes; idle: there is none
 *   lossy PERCENT          the loss measured until now; probe: the owner asks whether the session lives
 *   reconnect, disconnect, mtu N (the path takes N bytes from now on, send says so), free
 *   nstart N, block N, body N, keepalive MS  settings, in the first lines
 *   > MESSAGE              the endpoint has sent this next
 *   ! WHO R [RESPONSE]     a callback: the request's number, or o for the observation; ! suspect, ! answered
 *
 * What the endpoint does must be in the script, in order, before the next action. MESSAGE is
 *
 *   TYPE CODE mN tN key=value... [PAYLOAD]
 *
 * mN counts our message ids from the first, pN the peer's; tN numbers tokens as they come up (t? one never seen);
 * options stand in the order of their numbers. PAYLOAD is =TEXT or :SIZE@OFFSET, a part of the pattern that requests
 * carry. */

#include "base/cleanup.h"
#include "base/encode.h"
#include "coap/endpoint.h"
#include "coap/exchange.h"

#include <stdio.h>
#include <string.h>

#define SCRIPT_PEER_MID 50000
#define SCRIPT_TOKENS 64
#define SCRIPT_EVENTS 256
#define SCRIPT_START (1000 * USEC_PER_SEC)

struct script {
    struct coap_endpoint *ep;
    uint64_t now;
    bool seen_mid;
    uint16_t first_mid;
    uint8_t tokens[SCRIPT_TOKENS][COAP_TOKEN_SIZE];
    size_t n_tokens;
    char events[SCRIPT_EVENTS][256];
    size_t n_events, next_event;
    struct uplink_call *exchanges[64];
    struct who {
        struct script *s;
        int number;
    } who[64];
    int n_exchanges;
    struct uplink_subscription *observation;
    size_t path_mtu; /* 0: no limit */
    const char *name;
    int line;
};

static const struct {
    const char *name;
    uint16_t number;
    char kind; /* u: number, s: text, x: hex, b: block, t: request tag, shown only as there */
} script_options[] = {
    {"etag", COAP_OPT_ETAG, 'x'},
    {"obs", COAP_OPT_OBSERVE, 'u'},
    {"loc", COAP_OPT_LOCATION_PATH, 's'},
    {"path", COAP_OPT_URI_PATH, 's'},
    {"cf", COAP_OPT_CONTENT_FORMAT, 'u'},
    {"ma", COAP_OPT_MAX_AGE, 'u'},
    {"q", COAP_OPT_URI_QUERY, 's'},
    {"acc", COAP_OPT_ACCEPT, 'u'},
    {"lq", COAP_OPT_LOCATION_QUERY, 's'},
    {"b2", COAP_OPT_BLOCK2, 'b'},
    {"b1", COAP_OPT_BLOCK1, 'b'},
    {"s2", COAP_OPT_SIZE2, 'u'},
    {"s1", COAP_OPT_SIZE1, 'u'},
    {"echo", COAP_OPT_ECHO, 'x'},
    {"rt", COAP_OPT_REQUEST_TAG, 't'},
    {"odd", 9999, 'u'},
    {"even", 9998, 'u'},
};

static uint8_t script_pattern(size_t i)
{
    return (uint8_t)('a' + ((uint32_t)i * 2654435761u >> 13) % 26);
}

static void script_fail(const struct script *s, const char *what, const char *got, const char *wanted)
{
    fprintf(stderr, "%s, line %d: %s\n  got:    %s\n  wanted: %s\n", s->name, s->line, what, got, wanted);
    fail();
}

static char *script_event(struct script *s)
{
    assert_true(s->n_events < SCRIPT_EVENTS);
    return s->events[s->n_events++];
}

static void script_code_text(uint8_t code, char *text, size_t size)
{
    static const char *const methods[] = {"-", "GET", "POST", "PUT", "DELETE", "FETCH"};

    if (code < ELEMENTSOF(methods))
        snprintf(text, size, "%s", methods[code]);
    else
        snprintf(text, size, "%u.%02u", COAP_CODE_CLASS(code), COAP_CODE_DETAIL(code));
}

static int script_payload_text(char *text, size_t size, const uint8_t *payload, size_t n)
{
    for (size_t offset = 0; n > 0 && offset < 4096; offset++) {
        size_t i = 0;

        while (i < n && payload[i] == script_pattern(offset + i))
            i++;
        if (i == n && n >= 8)
            return snprintf(text, size, " :%zu@%zu", n, offset);
    }
    return n > 0 ? snprintf(text, size, " =%.*s", (int)MIN_OF(n, (size_t)64), payload) : 0;
}

static size_t script_token(struct script *s, const uint8_t *token)
{
    for (size_t i = 0; i < s->n_tokens; i++)
        if (memcmp(s->tokens[i], token, COAP_TOKEN_SIZE) == 0)
            return i;
    assert_true(s->n_tokens < SCRIPT_TOKENS);
    memcpy(s->tokens[s->n_tokens], token, COAP_TOKEN_SIZE);
    return s->n_tokens++;
}

static int script_option_text(char *text, size_t size, const struct coap_option *o)
{
    char hex[HEX_SIZE(64)];
    uint32_t value = 0;

    for (size_t i = 0; i < o->length; i++)
        value = value << 8 | o->value[i];
    for (size_t i = 0; i < ELEMENTSOF(script_options); i++) {
        const char *name = script_options[i].name;

        if (script_options[i].number != o->number)
            continue;
        switch (script_options[i].kind) {
        case 'u':
            return snprintf(text, size, " %s=%u", name, value);
        case 's':
            return snprintf(text, size, " %s=%.*s", name, o->length, o->value);
        case 'b':
            return snprintf(text, size, " %s=%u/%u/%u", name, value >> 4, value >> 3 & 1, value & 7);
        case 't':
            return snprintf(text, size, " %s", name);
        }
        hex_encode(o->value, o->length, hex);
        return snprintf(text, size, " %s=%s", name, hex);
    }
    return snprintf(text, size, " option%u", o->number);
}

static int script_send(void *userdata, const uint8_t *datagram, size_t n)
{
    static const char *const types[] = {"CON", "NON", "ACK", "RST"};
    struct script *s = userdata;
    struct coap_message m;
    char code[16], text[256];
    int used;

    if (s->path_mtu > 0 && n > s->path_mtu) {
        coap_endpoint_set_datagram_max(s->ep, s->path_mtu);
        return -EMSGSIZE;
    }
    assert_int_equal(coap_message_parse(datagram, n, &m), 0);
    if (!s->seen_mid && m.type <= COAP_NON) {
        s->first_mid = m.mid;
        s->seen_mid = true;
    }
    script_code_text(m.code, code, sizeof(code));
    if (m.type <= COAP_NON)
        used = snprintf(text, sizeof(text), "> %s %s m%u", types[m.type], code, (uint16_t)(m.mid - s->first_mid));
    else
        used = snprintf(text, sizeof(text), "> %s %s p%d", types[m.type], code, m.mid - SCRIPT_PEER_MID);
    if (m.token_size == COAP_TOKEN_SIZE)
        used += snprintf(text + used, sizeof(text) - used, " t%zu", script_token(s, m.token));
    else
        assert_int_equal(m.token_size, 0);
    for (size_t i = 0; i < m.n_options; i++)
        used += script_option_text(text + used, sizeof(text) - used, &m.options[i]);
    script_payload_text(text + used, sizeof(text) - used, m.payload, m.payload_size);
    memcpy(script_event(s), text, sizeof(text));
    return 0;
}

static void script_called(struct script *s, const char *who, int r, const struct uplink_response *response)
{
    char *text = script_event(s), code[16];
    int used = snprintf(text, 256, "! %s %s", who, r == 0 ? "0" : strerrorname_np(-r));

    if (!response)
        return;
    script_code_text(response->code, code, sizeof(code));
    used += snprintf(text + used, 256 - used, " %s", code);
    if (response->observe >= 0)
        used += snprintf(text + used, 256 - used, " obs=%d", response->observe);
    if (response->content_format >= 0)
        used += snprintf(text + used, 256 - used, " cf=%d", response->content_format);
    if (response->max_age != COAP_MAX_AGE)
        used += snprintf(text + used, 256 - used, " ma=%u", response->max_age);
    if (response->location)
        used += snprintf(text + used, 256 - used, " loc=%s", response->location);
    if (response->challenged)
        used += snprintf(text + used, 256 - used, " challenged");
    script_payload_text(text + used, 256 - used, response->payload, response->payload_size);
}

static void script_done(int r, const struct uplink_response *response, void *userdata)
{
    struct who *who = userdata;
    char number[16];

    snprintf(number, sizeof(number), "%d", who->number);
    script_called(who->s, number, r, response);
}

static void script_notified(int r, const struct uplink_response *response, void *userdata)
{
    script_called(userdata, "o", r, response);
}

static void script_suspect(void *userdata)
{
    snprintf(script_event(userdata), 256, "! suspect");
}

static void script_answered(void *userdata)
{
    snprintf(script_event(userdata), 256, "! answered");
}

static uint64_t script_now(void *userdata)
{
    return ((struct script *)userdata)->now;
}

static const struct coap_endpoint_ops script_ops = {
    .send = script_send, .suspect = script_suspect, .answered = script_answered, .now = script_now};

static const char *script_word(const char **line, char *word, size_t size)
{
    size_t n;

    *line += strspn(*line, " ");
    n = strcspn(*line, " ");
    assert_true(n < size);
    memcpy(word, *line, n);
    word[n] = 0;
    *line += n;
    return word;
}

static void script_add_option(struct coap_message *m, const char *name, const char *value, uint8_t *room)
{
    unsigned num, more, szx;

    for (size_t i = 0; i < ELEMENTSOF(script_options); i++) {
        if (strcmp(script_options[i].name, name) != 0)
            continue;
        switch (script_options[i].kind) {
        case 'u':
            coap_message_add_uint(m, script_options[i].number, (uint32_t)strtoul(value, NULL, 10));
            return;
        case 's':
            memcpy(room, value, strlen(value));
            coap_message_add(m, script_options[i].number, room, strlen(value));
            return;
        case 'x':
            assert_int_equal(hex_decode(value, strlen(value), room, 64), strlen(value) / 2);
            coap_message_add(m, script_options[i].number, room, strlen(value) / 2);
            return;
        case 'b':
            assert_int_equal(sscanf(value, "%u/%u/%u", &num, &more, &szx), 3);
            coap_message_add_uint(m, script_options[i].number, num << 4 | more << 3 | szx);
            return;
        }
    }
    fail_msg("no option %s", name);
}

static void script_inject(struct script *s, const char *line)
{
    struct coap_message m = {0};
    uint8_t buf[4096], payload[4096], room[32][64];
    char word[256];
    unsigned class, detail;
    size_t n_room = 0, size, offset;
    ssize_t n;

    script_word(&line, word, sizeof(word));
    m.type = word[0] == 'C' ? COAP_CON : word[0] == 'N' ? COAP_NON : word[0] == 'A' ? COAP_ACK : COAP_RST;
    script_word(&line, word, sizeof(word));
    if (sscanf(word, "%u.%u", &class, &detail) == 2)
        m.code = (uint8_t)COAP_CODE(class, detail);
    script_word(&line, word, sizeof(word));
    m.mid = (uint16_t)(atoi(word + 1) + (word[0] == 'm' ? s->first_mid : SCRIPT_PEER_MID));
    while (*script_word(&line, word, sizeof(word))) {
        char *value = strchr(word, '=');

        if (word[0] == 't') {
            m.token_size = COAP_TOKEN_SIZE;
            memset(m.token, 0xee, COAP_TOKEN_SIZE);
            if (word[1] != '?')
                memcpy(m.token, s->tokens[atoi(word + 1)], COAP_TOKEN_SIZE);
        } else if (word[0] == '=') {
            m.payload = memcpy(payload, word + 1, strlen(word + 1));
            m.payload_size = strlen(word + 1);
        } else if (sscanf(word, ":%zu@%zu", &size, &offset) == 2) {
            for (size_t i = 0; i < size; i++)
                payload[i] = script_pattern(offset + i);
            m.payload = payload;
            m.payload_size = size;
        } else {
            assert_non_null(value);
            *value = 0;
            script_add_option(&m, word, value + 1, room[n_room++]);
        }
    }
    n = coap_message_write(&m, buf, sizeof(buf));
    assert_true(n > 0);
    coap_endpoint_receive(s->ep, s->now, buf, (size_t)n);
}

static void script_ask(struct script *s, const char *method, const char *path, size_t size)
{
    static const struct {
        const char *name;
        uint8_t method;
    } methods[] = {{"get", COAP_GET},       {"non", COAP_GET},     {"put", COAP_PUT},      {"post", COAP_POST},
                   {"delete", COAP_DELETE}, {"fetch", COAP_FETCH}, {"nonpost", COAP_POST}, {"secret", COAP_POST}};
    struct uplink_request request = {.target = path, .content_format = -1, .accept = -1, .payload_size = size};
    uint8_t payload[8192];

    for (size_t i = 0; i < ELEMENTSOF(methods); i++)
        if (strcmp(methods[i].name, method) == 0)
            request.method = methods[i].method;
    if (request.method == 0)
        script_fail(s, "no such action", method, "");
    request.non = strncmp(method, "non", 3) == 0;
    request.secret = strcmp(method, "secret") == 0;
    for (size_t i = 0; i < size; i++)
        payload[i] = script_pattern(i);
    request.payload = payload;
    s->who[s->n_exchanges] = (struct who){s, s->n_exchanges};
    assert_int_equal(
        coap_request(s->ep, s->now, &request, script_done, &s->who[s->n_exchanges], &s->exchanges[s->n_exchanges]), 0);
    s->n_exchanges++;
}

static void script_advance(struct script *s, uint64_t until)
{
    while (coap_endpoint_deadline(s->ep) <= until) {
        s->now = MAX_OF(s->now, coap_endpoint_deadline(s->ep));
        coap_endpoint_tick(s->ep, s->now);
    }
    s->now = until;
}

static void script_tick(struct script *s, const char *line)
{
    uint64_t deadline = coap_endpoint_deadline(s->ep);
    unsigned low, high;
    char got[64];

    assert_int_equal(sscanf(line, "%u %u", &low, &high), 2);
    snprintf(got, sizeof(got), "%.3f ms", (double)(int64_t)(deadline - s->now) / 1000);
    if (deadline == USEC_INFINITY || deadline < s->now + low * USEC_PER_MSEC ||
        deadline > s->now + high * USEC_PER_MSEC)
        script_fail(s, "deadline", got, line);
    s->now = deadline;
    coap_endpoint_tick(s->ep, s->now);
}

static void script_act(struct script *s, const char *line)
{
    char verb[32], path[512], size[32];
    uint8_t raw[256];

    if (line[0] == '+') {
        script_advance(s, s->now + strtoul(line + 1, NULL, 10) * USEC_PER_MSEC);
        return;
    }
    if (line[0] == '<') {
        script_inject(s, line + 1);
        return;
    }
    script_word(&line, verb, sizeof(verb));
    if (strcmp(verb, "tick") == 0) {
        script_tick(s, line);
        return;
    }
    script_word(&line, path, sizeof(path));
    script_word(&line, size, sizeof(size));
    if (strcmp(verb, "raw") == 0) {
        ssize_t n = hex_decode(path, strlen(path), raw, sizeof(raw));

        assert_true(n >= 0);
        coap_endpoint_receive(s->ep, s->now, raw, (size_t)n);
    } else if (strcmp(verb, "idle") == 0) {
        if (coap_endpoint_deadline(s->ep) != USEC_INFINITY)
            script_fail(s, "not idle", "", "");
    } else if (strcmp(verb, "ping") == 0) {
        s->who[s->n_exchanges] = (struct who){s, s->n_exchanges};
        coap_ping(s->ep, s->now, script_done, &s->who[s->n_exchanges], &s->exchanges[s->n_exchanges]);
        s->n_exchanges++;
    } else if (strcmp(verb, "cancel") == 0) {
        uplink_call_cancel(s->exchanges[atoi(path)]);
    } else if (strcmp(verb, "observe") == 0) {
        assert_int_equal(coap_observe(s->ep, s->now, path, -1, script_notified, s, &s->observation), 0);
    } else if (strcmp(verb, "unobserve") == 0) {
        uplink_subscription_cancel(TAKE_PTR(s->observation));
    } else if (strcmp(verb, "reconnect") == 0) {
        coap_endpoint_reconnected(s->ep, s->now);
    } else if (strcmp(verb, "disconnect") == 0) {
        coap_endpoint_disconnected(s->ep, s->now);
    } else if (strcmp(verb, "lossy") == 0) {
        s->ep->loss.share = (uint32_t)(65536 * strtoul(path, NULL, 10) / 100);
    } else if (strcmp(verb, "probe") == 0) {
        coap_endpoint_ping_in_doubt(s->ep, s->now);
    } else if (strcmp(verb, "mtu") == 0) {
        s->path_mtu = strtoul(path, NULL, 10);
    } else if (strcmp(verb, "free") == 0) {
        s->ep = coap_endpoint_free(s->ep);
    } else {
        script_ask(s, verb, path, strtoul(size, NULL, 10));
    }
}

static void script_line(struct script *s, const char *line)
{
    bool expectation = line[0] == '>' || line[0] == '!';

    s->line++;
    if (!expectation && s->next_event < s->n_events)
        script_fail(s, "more than expected", s->events[s->next_event], line);
    if (!expectation) {
        s->n_events = s->next_event = 0;
        if (line[0])
            script_act(s, line);
        return;
    }
    if (s->next_event == s->n_events)
        script_fail(s, "nothing happened", "", line);
    if (strcmp(s->events[s->next_event], line) != 0)
        script_fail(s, "otherwise", s->events[s->next_event], line);
    s->next_event++;
}

/* Takes one line with a setting off the front. */
static bool script_setting(const char **text, struct coap_endpoint_options *options)
{
    unsigned value;
    int n = 0;

    if (sscanf(*text, "nstart %u\n%n", &value, &n) == 1 && n > 0)
        options->nstart = value;
    else if (sscanf(*text, "keepalive %u\n%n", &value, &n) == 1 && n > 0)
        options->keepalive = value * USEC_PER_MSEC;
    else if (sscanf(*text, "block %u\n%n", &value, &n) == 1 && n > 0)
        options->block_size = value;
    else if (sscanf(*text, "body %u\n%n", &value, &n) == 1 && n > 0)
        options->body_max = value;
    *text += n;
    return n > 0;
}

/* Lines of the text are parted by '\n'. */
static void script_run(const char *name, const char *text)
{
    static struct script s;
    struct coap_endpoint_options options = {.ops = &script_ops, .userdata = &s, .seed = 7};
    char line[512];

    s = (struct script){.now = SCRIPT_START, .name = name};
    while (script_setting(&text, &options))
        ;
    assert_int_equal(coap_endpoint_new(&options, &s.ep), 0);
    while (*text) {
        size_t n = strcspn(text, "\n");

        assert_true(n < sizeof(line));
        memcpy(line, text, n);
        line[n] = 0;
        script_line(&s, line);
        text += n + (text[n] == '\n');
    }
    script_line(&s, "");
    coap_endpoint_free(s.ep);
}
