/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "resources.h"

#include "downlink.h"
#include "events.h"
#include "observe.h"
#include "senml.h"
#include "server.h"
#include "stream.h"

#include "base/clock.h"
#include "base/encode.h"
#include "base/json.h"
#include "base/log.h"
#include "payload/cbor.h"

#include <gnutls/gnutls.h>
#include <stdio.h>
#include <string.h>

#define CODE(class, detail) ((uint8_t)((class) << 5 | (detail)))
#define FORMAT_JSON 50
#define FORMAT_CBOR 60
#define FORMAT_SENML_JSON 110
#define OPTION_TIME 65000 /* as Eclipse Hono has it: in a request it asks for the time, which the answer has in it */

struct request {
    struct client *client;
    const char *method;
    const char *path;
    int format;  /* -1: none given */
    int observe; /* the option's value: 0 to begin, 1 to end; -1: none given */
    bool asks_time;
    coap_bin_const_t token;
    const char *body;
    size_t size;
};

/* Sets the answer. It is kept in the exchange, so that a repeated request gets the same. */
static void answer(struct exchange *x, uint8_t code, int format, const char *body)
{
    x->code = code;
    x->format = format;
    x->body = body && *body ? strdup(body) : NULL;
}

static void refuse(struct exchange *x, uint8_t code, const char *reason)
{
    answer(x, code, -1, reason);
}

static void answer_id(struct exchange *x, uint8_t code, const struct credential *c)
{
    char body[CREDENTIAL_ID_MAX + 16];

    snprintf(body, sizeof(body), "{\"id\":\"%s\"}", c->id);
    answer(x, code, FORMAT_JSON, body);
}

/* Whose pack it is: the session's device, which its first pack may name. */
static bool own_pack(const struct request *q, const struct senml_pack *p, struct exchange *x)
{
    struct device *d = q->client->device;
    struct error e = {};
    int r;

    if (!p->device[0] || (d->named && strcmp(p->device, d->id) == 0))
        return true;
    if (d->named) {
        error_set(&e, -EACCES, "this session is %s's, the pack is %s's", d->id, p->device);
        refuse(x, CODE(4, 3), e.text);
        return false;
    }
    r = store_name(server_store(q->client->server), d, p->device, &e);
    if (r < 0)
        refuse(x, r == -EEXIST ? CODE(4, 3) : CODE(5, 0), e.text);
    return r >= 0;
}

static void post_telemetry(const struct request *q, struct exchange *x)
{
    _cleanup_(senml_pack_freep) struct senml_pack *p = NULL;
    struct device *d = q->client->device;
    struct error e = {};

    if (q->format >= 0 && q->format != FORMAT_SENML_JSON)
        return refuse(x, CODE(4, 15), "expected application/senml+json (110)");
    if (senml_read(q->body, q->size, clock_realtime(), &p, &e) < 0)
        return refuse(x, CODE(4, 0), e.text);
    if (!own_pack(q, p, x))
        return;
    if (p->probe) {
        d->probes++;
        event_probe(d, q->client->identity);
    } else {
        d->packs++;
        d->samples += p->count;
        event_samples(d, q->client->identity, p);
    }
    answer(x, CODE(2, 4), -1, NULL);
}

/* Golioth's side of the devices, as its documentation has it: the stream, the device's state, which is taken and
 * forgotten (it never wishes for anything), its log, calls, of which there are none, and settings. */
static void post_stream(const struct request *q, struct exchange *x)
{
    _cleanup_(senml_pack_freep) struct senml_pack *p = NULL;
    struct device *d = q->client->device;
    struct error e = {};

    if (q->format >= 0 && q->format != FORMAT_JSON)
        return refuse(x, CODE(4, 15), "expected application/json (50)");
    if (stream_read(q->body, q->size, clock_realtime(), &p, &e) < 0)
        return refuse(x, CODE(4, 0), e.text);
    d->packs++;
    d->samples += p->count;
    event_samples(d, q->client->identity, p);
    answer(x, CODE(2, 4), -1, NULL);
}

static void post_state(const struct request *q, struct exchange *x)
{
    answer(x, CODE(2, 4), -1, NULL);
}

static void get_nothing(const struct request *q, struct exchange *x)
{
    if (q->observe == 0)
        x->observe = 0;
    answer(x, CODE(2, 5), FORMAT_JSON, "null");
}

static void offer(const struct request *q, const char *identity, const uint8_t *key, size_t size, struct exchange *x)
{
    static const char *const results[] = {
        [STORE_ADDED] = "added", [STORE_SAME] = "same", [STORE_REPLACED] = "replaced"};
    struct store *s = server_store(q->client->server);
    struct credential *c;
    struct error e = {};
    int r = store_offer(s, q->client->device, identity, key, size, &c, &e);

    if (r == -EEXIST)
        return refuse(x, CODE(4, 9), e.text);
    if (r < 0)
        return refuse(x, r == -EINVAL ? CODE(4, 0) : CODE(5, 0), e.text);
    answer_id(x, r == STORE_ADDED ? CODE(2, 1) : CODE(2, 4), c);
    event_credential("credential", results[r], c);
}

static void post_credentials(const struct request *q, struct exchange *x)
{
    _cleanup_json_ json_object *o = NULL;
    uint8_t key[KEY_MAX];
    const char *identity, *text;
    ssize_t n;

    if (q->format >= 0 && q->format != FORMAT_JSON)
        return refuse(x, CODE(4, 15), "expected application/json (50)");
    if (json_parse(q->body, q->size, &o, NULL) < 0 || !json_object_is_type(o, json_type_object) ||
        json_object_object_length(o) != 2)
        return refuse(x, CODE(4, 0), "expected {\"identity\":string,\"key\":base64}");
    identity = json_get_string(o, "identity");
    text = json_get_string(o, "key");
    n = text ? base64_decode(text, strlen(text), key, sizeof(key)) : -EINVAL;
    if (!identity || n < 0)
        return refuse(x, CODE(4, 0), "expected {\"identity\":string,\"key\":base64 of 16 to 64 bytes}");
    offer(q, identity, key, (size_t)n, x);
    gnutls_memset(key, 0, sizeof(key));
}

static void delete_credential(const struct request *q, struct exchange *x)
{
    struct credential *c;
    struct error e = {};
    int r = store_delete(server_store(q->client->server), q->client->device, q->path + strlen("credentials/"), &c, &e);

    if (r < 0)
        return refuse(x, r == -ENOENT ? CODE(4, 4) : CODE(5, 0), e.text);
    event_credential("deleted", NULL, c);
    answer(x, CODE(2, 2), -1, NULL);
}

static void get_observable(const struct request *q, enum observable what, struct exchange *x)
{
    _cleanup_free_ char *state = observe_state(q->client->device, what);

    if (q->observe == 0)
        x->observe = (int)observe_begin(q->client, what, &q->token);
    else if (q->observe == 1)
        observe_end(q->client, what);
    answer(x, CODE(2, 5), FORMAT_JSON, state);
    x->max_age = COMMANDS_MAX_AGE;
}

static void get_commands(const struct request *q, struct exchange *x)
{
    get_observable(q, OBSERVABLE_COMMANDS, x);
}

static void get_settings(const struct request *q, struct exchange *x)
{
    get_observable(q, OBSERVABLE_SETTINGS, x);
}

/* The answer to the settings: {"version":n,"errors":[{"setting_key":s,"error_code":n}]}, in JSON or CBOR. */
static void post_settings(const struct request *q, struct exchange *x)
{
    _cleanup_json_ json_object *o = NULL;
    json_object *version;
    struct error e = {};
    int r = q->format == FORMAT_CBOR ? cbor_parse(q->body, q->size, &o, &e) : json_parse(q->body, q->size, &o, &e);

    if (r < 0)
        return refuse(x, CODE(4, 0), e.text);
    if (!json_object_object_get_ex(o, "version", &version) || !json_object_is_type(version, json_type_int))
        return refuse(x, CODE(4, 0), "expected the \"version\" of the settings, a whole number");
    event_settings(q->client->device, q->client->identity, o);
    answer(x, CODE(2, 4), -1, NULL);
}

static void post_outcome(const struct request *q, struct exchange *x)
{
    _cleanup_json_ json_object *o = NULL;
    struct error e = {};
    int r;

    if (q->format >= 0 && q->format != FORMAT_JSON)
        return refuse(x, CODE(4, 15), "expected application/json (50)");
    r = json_parse(q->body, q->size, &o, &e);
    if (r >= 0)
        r = downlink_outcome(q->client->device, o, &e);
    if (r < 0)
        return refuse(x, CODE(4, 0), e.text);
    event_outcome(q->client->device, q->client->identity, o);
    if (r > 0)
        observe_changed(q->client->server, q->client->device, OBSERVABLE_COMMANDS);
    answer(x, CODE(2, 4), -1, NULL);
}

static const struct route {
    const char *method;
    const char *path; /* a trailing '/' stands for what is below */
    void (*run)(const struct request *q, struct exchange *x);
} routes[] = {
    {"POST", "telemetry", post_telemetry},
    {"POST", "credentials", post_credentials},
    {"DELETE", "credentials/", delete_credential},
    {"GET", "commands", get_commands},
    {"POST", "commands/outcome", post_outcome},
    {"POST", ".s/", post_stream},
    {"POST", ".d/", post_state},
    {"GET", ".d/", get_nothing},
    {"POST", "logs", post_state},
    {"GET", ".rpc", get_nothing},
    {"GET", ".c", get_settings},
    {"POST", ".c/status", post_settings},
};

static bool is_path(const char *route, const char *path)
{
    size_t n = strlen(route);

    return route[n - 1] == '/' ? strncmp(route, path, n) == 0 && path[n] : strcmp(route, path) == 0;
}

/* Carries the request out. */
static void dispatch(const struct request *q, struct exchange *x)
{
    bool there = false;

    if (q->client->device->forgotten)
        return refuse(x, CODE(4, 1), "this device is not known here any more");
    for (size_t i = 0; i < ELEMENTSOF(routes); i++) {
        if (!is_path(routes[i].path, q->path))
            continue;
        there = true;
        if (strcmp(routes[i].method, q->method) == 0)
            return routes[i].run(q, x);
    }
    refuse(x, there ? CODE(4, 5) : CODE(4, 4), there ? "not this method" : "nothing here");
}

static void tell_refused(const struct request *q, const struct exchange *x)
{
    char code[8];

    if (x->code >> 5 < 4)
        return;
    snprintf(code, sizeof(code), "%u.%02u", x->code >> 5, x->code & 0x1f);
    event_refused(q->client->device, q->client->identity, q->method, q->path, code, x->body ?: "");
}

static bool fault_taken(const struct request *q, enum fault_kind kind, struct fault *ret)
{
    struct faults *f = server_faults(q->client->server);

    if (!faults_take(f, kind, q->method, q->path, q->client->device->id, ret))
        return false;
    event_fault(fault_names[kind], q->client->device, q->method, q->path);
    return true;
}

static void carry_out(const struct request *q, struct exchange *x)
{
    struct fault fault;

    if (fault_taken(q, FAULT_LOSE_BEFORE, &fault)) {
        x->lost = true;
        return;
    }
    if (fault_taken(q, FAULT_REFUSE, &fault)) {
        refuse(x, (uint8_t)fault.code, "refused on demand");
        x->max_age = fault.max_age;
    } else
        dispatch(q, x);
    tell_refused(q, x);
    x->lost = fault_taken(q, FAULT_LOSE_AFTER, &fault);
}

static struct exchange *find_exchange(struct client *c, uint16_t mid)
{
    uint64_t now = clock_boottime();

    for (size_t i = 0; i < CLIENT_EXCHANGES; i++) {
        struct exchange *x = &c->exchanges[i];

        if (x->began > 0 && x->mid == mid && now - x->began < COAP_EXCHANGE_LIFETIME)
            return x;
    }
    return NULL;
}

static struct exchange *new_exchange(struct client *c, uint16_t mid)
{
    struct exchange *x = &c->exchanges[c->next_exchange];

    c->next_exchange = (c->next_exchange + 1) % CLIENT_EXCHANGES;
    free(x->body);
    *x = (struct exchange){.began = clock_boottime(), .mid = mid, .format = -1, .observe = -1};
    return x;
}

static void send_answer(struct client *c, const struct exchange *x, coap_pdu_t *response)
{
    uint8_t number[8];

    server_lose_answer(c->server, x->lost);
    if (x->lost) {
        /* libcoap drops a message without a code on its way out; if confirmable, it would be retransmitted. */
        coap_pdu_set_type(response, COAP_MESSAGE_ACK);
        return;
    }
    coap_pdu_set_code(response, (coap_pdu_code_t)x->code);
    if (x->observe >= 0)
        coap_add_option(response, COAP_OPTION_OBSERVE,
                        coap_encode_var_safe(number, sizeof(number), (unsigned)x->observe), number);
    if (x->format >= 0)
        coap_add_option(response, COAP_OPTION_CONTENT_FORMAT,
                        coap_encode_var_safe(number, sizeof(number), (unsigned)x->format), number);
    if (x->max_age > 0)
        coap_add_option(response, COAP_OPTION_MAXAGE, coap_encode_var_safe(number, sizeof(number), x->max_age), number);
    if (x->time_ms > 0)
        coap_add_option(response, OPTION_TIME, coap_encode_var_safe8(number, sizeof(number), x->time_ms), number);
    if (x->body)
        coap_add_data(response, strlen(x->body), (const uint8_t *)x->body);
}

static const char *method_name(coap_pdu_code_t code)
{
    static const char *const names[] = {"?", "GET", "POST", "PUT", "DELETE", "FETCH", "PATCH", "IPATCH"};

    return (size_t)code < ELEMENTSOF(names) ? names[code] : "?";
}

static int number_option(const coap_pdu_t *request, coap_option_num_t which)
{
    coap_opt_iterator_t i;
    coap_opt_t *option = coap_check_option(request, which, &i);

    return option ? (int)coap_decode_var_bytes(coap_opt_value(option), coap_opt_length(option)) : -1;
}

static void read_request(const coap_pdu_t *request, struct request *q)
{
    const uint8_t *body = NULL;
    size_t offset, total;

    q->method = method_name(coap_pdu_get_code(request));
    q->format = number_option(request, COAP_OPTION_CONTENT_FORMAT);
    q->observe = number_option(request, COAP_OPTION_OBSERVE);
    q->asks_time = number_option(request, OPTION_TIME) >= 0;
    q->token = coap_pdu_get_token(request);
    if (!coap_get_data_large(request, &q->size, &body, &offset, &total))
        q->size = 0;
    q->body = body ? (const char *)body : "";
}

/* A request to be slow about is put aside: libcoap acknowledges it, and its repeats, and asks again when it is due,
 * with a message id of its own. The id it came with is kept with it. */
static bool put_aside(coap_session_t *session, const struct request *q, const coap_pdu_t *request)
{
    struct fault fault;
    coap_async_t *async;

    if (!fault_taken(q, FAULT_SLOW, &fault))
        return false;
    async = coap_register_async(session, request, fault.delay_ms * COAP_TICKS_PER_SECOND / 1000);
    if (!async)
        return false;
    coap_async_set_app_data(async, (void *)((uintptr_t)(uint16_t)coap_pdu_get_mid(request) + 1));
    server_hold(q->client);
    server_lose_answer(q->client->server, false);
    return true;
}

static void on_request(coap_resource_t *resource, coap_session_t *session, const coap_pdu_t *request,
                       const coap_string_t *query, coap_pdu_t *response)
{
    coap_async_t *async = coap_find_async(session, coap_pdu_get_token(request));
    uint16_t mid =
        async ? (uint16_t)((uintptr_t)coap_async_get_app_data(async) - 1) : (uint16_t)coap_pdu_get_mid(request);
    struct request q = {.client = coap_session_get_app_data(session)};
    coap_string_t *path;
    struct exchange *x;

    if (!q.client || !q.client->device)
        return;
    if (async)
        server_unhold(q.client);
    x = find_exchange(q.client, mid);
    if (x) {
        send_answer(q.client, x, response);
        return;
    }
    path = coap_get_uri_path(request);
    q.path = path ? (const char *)path->s : "";
    read_request(request, &q);
    log_debug(q.client->device->id, "%s %s, %zu bytes, message id %u", q.method, q.path, q.size, mid);
    if (async || !put_aside(session, &q, request)) {
        x = new_exchange(q.client, mid);
        carry_out(&q, x);
        x->time_ms = q.asks_time ? server_clock(q.client->server) : 0;
        events_flush(); /* killed in between, it would have accepted what nobody was told of */
        send_answer(q.client, x, response);
    }
    coap_delete_string(path);
}

int resources_add(coap_context_t *context)
{
    static const coap_request_t methods[] = {COAP_REQUEST_GET, COAP_REQUEST_POST, COAP_REQUEST_DELETE};
    coap_resource_t *resource = coap_resource_unknown_init(on_request);

    if (!resource)
        return -ENOMEM;
    for (size_t i = 0; i < ELEMENTSOF(methods); i++)
        coap_register_request_handler(resource, methods[i], on_request);
    coap_add_resource(context, resource);
    return 0;
}
