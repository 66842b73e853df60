/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "https.h"

#include "events.h"

#include "base/clock.h"
#include "base/durable.h"
#include "base/log.h"

#include <fcntl.h>
#include <gnutls/gnutls.h>
#include <microhttpd.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/stat.h>

#define CONNECTIONS_MAX 512
#define IDLE_SECONDS 60
#define KEY_FILE_MAX 4096

/* One request. */
struct exchange {
    struct https *https;
    struct api_request request; /* owns its texts, except the body, which is `body` */
    char *body;
    bool too_large;
    bool waited; /* was slow about it already */
    uint64_t due;
    struct MHD_Connection *connection;
    TAILQ_ENTRY(exchange) entry; /* in `slow` or `late` */
};

TAILQ_HEAD(exchanges, exchange);

struct https {
    struct store *store;
    struct faults *faults;
    struct api api;
    const char *key_file;
    struct MHD_Daemon *daemon;
    int record;            /* -EBADF: none */
    struct exchanges slow; /* suspended */
    struct exchanges late; /* to be carried out after a later one */
};

static struct exchange *exchange_free(struct exchange *x)
{
    if (!x)
        return NULL;
    free((char *)x->request.method);
    free((char *)x->request.path);
    free((char *)x->request.content_type);
    free((char *)x->request.if_match);
    free((char *)x->request.x_api_key);
    free((char *)x->request.authorization);
    json_object_put(x->request.query);
    if (x->body)
        gnutls_memset(x->body, 0, x->request.size);
    free(x->body);
    free(x);
    return NULL;
}

DEFINE_FREEP(struct exchange, exchange_free)

static enum MHD_Result add_query(void *userdata, enum MHD_ValueKind kind, const char *key, const char *value)
{
    json_object **query = userdata;

    if (!*query)
        *query = json_object_new_object();
    json_object_object_add(*query, key, json_object_new_string(value ?: ""));
    return MHD_YES;
}

static char *header(struct MHD_Connection *connection, const char *name)
{
    const char *value = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, name);

    return value ? strdup(value) : NULL;
}

static struct exchange *exchange_new(struct https *h, struct MHD_Connection *connection, const char *url,
                                     const char *method)
{
    _cleanup_(exchange_freep) struct exchange *x = calloc(1, sizeof(*x));

    if (!x)
        return NULL;
    x->https = h;
    x->connection = connection;
    x->request.method = strdup(method);
    x->request.path = strdup(url);
    x->body = calloc(1, API_BODY_MAX + 1);
    if (!x->request.method || !x->request.path || !x->body)
        return NULL;
    x->request.body = x->body;
    x->request.content_type = header(connection, MHD_HTTP_HEADER_CONTENT_TYPE);
    x->request.if_match = header(connection, MHD_HTTP_HEADER_IF_MATCH);
    x->request.x_api_key = header(connection, "x-api-key");
    x->request.authorization = header(connection, MHD_HTTP_HEADER_AUTHORIZATION);
    MHD_get_connection_values(connection, MHD_GET_ARGUMENT_KIND, add_query, &x->request.query);
    return TAKE_PTR(x);
}

static void add_body(struct exchange *x, const char *data, size_t n)
{
    if (n > API_BODY_MAX - x->request.size) {
        x->too_large = true;
        return;
    }
    memcpy(x->body + x->request.size, data, n);
    x->request.size += n;
}

/* -- what came of it, told -- */

static void add_text(json_object *o, const char *key, const char *text)
{
    if (text)
        json_object_object_add(o, key, json_object_new_string(text));
}

static void record(struct https *h, const struct api_request *q, const struct api_answer *a)
{
    _cleanup_json_ json_object *o = NULL;
    const char *line;

    if (h->record < 0)
        return;
    o = json_object_new_object();
    add_text(o, "method", q->method);
    add_text(o, "path", q->path);
    if (q->query)
        json_object_object_add(o, "query", json_object_get(q->query));
    add_text(o, "content_type", q->content_type);
    add_text(o, "if_match", q->if_match);
    json_object_object_add(o, "body", json_object_new_string_len(q->body, (int)q->size));
    if (a) {
        json_object_object_add(o, "status", json_object_new_int((int)a->status));
        json_object_object_add(o, "answer", json_object_get(a->body));
    }
    line = json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
    if (write_all(h->record, line, strlen(line)) < 0 || write_all(h->record, "\n", 1) < 0)
        log_warning(NULL, "cannot record a request: %s", strerror(errno));
}

/* `a` NULL: it was not carried out, or not yet. */
static void tell(struct https *h, const struct api_request *q, const struct device *d, const struct api_answer *a,
                 bool late)
{
    const char *reason = NULL;

    if (a && a->body && a->status >= 400)
        reason = json_get_string(a->body, "message") ?: json_get_string(a->body, "error");
    event_request(d, q->method, q->path, q->query, a ? a->status : 0, reason, late);
    record(h, q, a);
}

/* -- carried out -- */

static const struct device *device_of(struct https *h, const struct api_request *q)
{
    return api_device(&h->api, h->store, q->path);
}

static bool taken(struct https *h, const struct api_request *q, enum fault_kind kind, struct fault *ret)
{
    const struct device *d = device_of(h, q);

    if (!faults_take(h->faults, kind, q->method, q->path, d ? d->id : "", ret))
        return false;
    event_fault(fault_names[kind], d, q->method, q->path);
    return true;
}

static int read_key(struct https *h, char **ret, struct error *e)
{
    size_t n;
    int r = h->key_file ? file_read(AT_FDCWD, h->key_file, KEY_FILE_MAX, ret, &n, e) : 0;

    if (r >= 0 && h->key_file)
        (*ret)[strcspn(*ret, "\r\n")] = 0;
    return r;
}

static void run(struct https *h, struct store *s, const struct api_request *q, struct api_answer *ret)
{
    _cleanup_free_ char *key = NULL;
    struct error e = {};

    *ret = (struct api_answer){};
    if (read_key(h, &key, &e) < 0)
        api_refuse(&h->api, q->path, 500, e.text, ret);
    else
        api_run(&h->api, s, q, key, ret);
    if (key)
        gnutls_memset(key, 0, strlen(key));
}

/* Against a copy, whose changes are lost. */
static void run_on_copy(struct https *h, const struct api_request *q, bool before_last, struct api_answer *ret)
{
    _cleanup_(store_freep) struct store *copy = NULL;
    const struct device *d = device_of(h, q);
    struct api_request silent = *q;

    silent.silent = true;
    if (store_copy(h->store, before_last, d ? d->id : "", &copy) < 0)
        api_refuse(&h->api, q->path, 500, "out of memory", ret);
    else
        run(h, copy, &silent, ret);
}

static void run_late(struct https *h, struct exchange *x)
{
    struct api_answer a;

    TAILQ_REMOVE(&h->late, x, entry);
    run(h, h->store, &x->request, &a);
    tell(h, &x->request, device_of(h, &x->request), &a, true);
    api_answer_done(&a);
    exchange_free(x);
}

/* Runs calls that waited for a second one with the same method and path. */
static void run_later_ones(struct https *h, const struct api_request *q)
{
    struct exchange *x = TAILQ_FIRST(&h->late), *next;

    for (; x; x = next) {
        next = TAILQ_NEXT(x, entry);
        if (strcmp(x->request.method, q->method) == 0 && strcmp(x->request.path, q->path) == 0)
            run_late(h, x);
    }
}

size_t https_deliver(struct https *h)
{
    size_t n = 0;

    for (; !TAILQ_EMPTY(&h->late); n++)
        run_late(h, TAILQ_FIRST(&h->late));
    return n;
}

/* -- answered -- */

/* Half of a text, then the end of the connection. */
struct half {
    size_t size;
    char text[];
};

static ssize_t read_half(void *userdata, uint64_t position, char *buffer, size_t max)
{
    const struct half *half = userdata;
    size_t n = MIN_OF(max, half->size - (size_t)position);

    if (n == 0)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    memcpy(buffer, half->text + position, n);
    return (ssize_t)n;
}

static struct MHD_Response *make_response(const char *text, bool halved)
{
    size_t n = strlen(text);
    struct half *half;

    if (!halved)
        return MHD_create_response_from_buffer(n, (void *)text, MHD_RESPMEM_MUST_COPY);
    half = malloc(sizeof(*half) + n);
    if (!half)
        return NULL;
    half->size = n / 2;
    memcpy(half->text, text, n);
    return MHD_create_response_from_callback(n, 4096, read_half, half, free);
}

static enum MHD_Result respond(struct exchange *x, const struct api_answer *a, uint32_t retry_after, bool halved)
{
    const char *text =
        a->body ? json_object_to_json_string_ext(a->body, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE) : "";
    struct MHD_Response *response;
    enum MHD_Result result;
    char seconds[16];

    if (halved && !a->body)
        return MHD_NO;
    response = make_response(text, halved);
    if (!response)
        return MHD_NO;
    if (a->body)
        MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, "application/json");
    if (a->etag[0])
        MHD_add_response_header(response, MHD_HTTP_HEADER_ETAG, a->etag);
    if (a->authenticate)
        MHD_add_response_header(response, MHD_HTTP_HEADER_WWW_AUTHENTICATE, "Basic realm=\"devcloud\", Bearer");
    snprintf(seconds, sizeof(seconds), "%u", retry_after);
    if (retry_after > 0)
        MHD_add_response_header(response, MHD_HTTP_HEADER_RETRY_AFTER, seconds);
    result = MHD_queue_response(x->connection, a->status, response);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result carry_out(struct https *h, struct exchange *x)
{
    const struct api_request *q = &x->request;
    bool get = strcmp(q->method, "GET") == 0, lost;
    struct fault fault;
    struct api_answer a = {};
    uint32_t retry_after = 0;
    enum MHD_Result result;

    if (taken(h, q, FAULT_LOSE_BEFORE, &fault)) {
        tell(h, q, device_of(h, q), NULL, false);
        return MHD_NO;
    }
    if (taken(h, q, FAULT_REFUSE, &fault)) {
        api_refuse(&h->api, q->path, fault.code, "refused on demand", &a);
        retry_after = fault.max_age;
    } else if (x->too_large)
        api_refuse(&h->api, q->path, 413, "a body of more than 64 KiB", &a);
    else if (get && taken(h, q, FAULT_STALE, &fault))
        run_on_copy(h, q, true, &a);
    else if (!get && taken(h, q, FAULT_PRETEND, &fault))
        run_on_copy(h, q, false, &a);
    else {
        run(h, h->store, q, &a);
        run_later_ones(h, q);
    }
    tell(h, q, device_of(h, q), &a, false);
    lost = taken(h, q, FAULT_LOSE_AFTER, &fault);
    result = lost ? MHD_NO : respond(x, &a, retry_after, taken(h, q, FAULT_HALF, &fault));
    api_answer_done(&a);
    return result;
}

/* -- libmicrohttpd's side -- */

static bool wait_first(struct https *h, struct exchange *x)
{
    struct fault fault;

    if (x->waited || !taken(h, &x->request, FAULT_SLOW, &fault))
        return false;
    x->waited = true;
    x->due = clock_boottime() + fault.delay_ms * USEC_PER_MSEC;
    TAILQ_INSERT_TAIL(&h->slow, x, entry);
    MHD_suspend_connection(x->connection);
    return true;
}

static bool keep_for_later(struct https *h, struct exchange *x)
{
    struct fault fault;

    if (x->too_large || strcmp(x->request.method, "GET") == 0 || !taken(h, &x->request, FAULT_LATE, &fault))
        return false;
    tell(h, &x->request, device_of(h, &x->request), NULL, false);
    x->connection = NULL;
    TAILQ_INSERT_TAIL(&h->late, x, entry);
    return true;
}

static enum MHD_Result on_request(void *userdata, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *upload, size_t *upload_size,
                                  void **exchange)
{
    struct https *h = userdata;
    struct exchange *x = *exchange;

    if (!x) {
        *exchange = exchange_new(h, connection, url, method);
        return *exchange ? MHD_YES : MHD_NO;
    }
    if (*upload_size > 0) {
        add_body(x, upload, *upload_size);
        *upload_size = 0;
        return MHD_YES;
    }
    if (wait_first(h, x))
        return MHD_YES;
    if (keep_for_later(h, x)) {
        *exchange = NULL;
        return MHD_NO;
    }
    return carry_out(h, x);
}

static void on_completed(void *userdata, struct MHD_Connection *connection, void **exchange,
                         enum MHD_RequestTerminationCode why)
{
    exchange_free(*exchange);
    *exchange = NULL;
}

static void on_log(void *userdata, const char *format, va_list arguments)
{
    char text[512];

    vsnprintf(text, sizeof(text), format, arguments);
    text[strcspn(text, "\n")] = 0;
    log_debug(NULL, "libmicrohttpd: %s", text);
}

static int start(struct https *h, const struct https_options *o, struct error *e)
{
    struct addrinfo hints = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV};
    unsigned flags = MHD_USE_EPOLL | MHD_USE_TLS | MHD_USE_ERROR_LOG | MHD_ALLOW_SUSPEND_RESUME;
    struct addrinfo *address = NULL;
    char service[8];
    int r;

    snprintf(service, sizeof(service), "%u", o->port);
    r = getaddrinfo(o->address, service, &hints, &address);
    if (r != 0)
        return error_set(e, -EINVAL, "--listen %s: %s", o->address, gai_strerror(r));
    if (address->ai_family == AF_INET6)
        flags |= MHD_USE_IPv6;
    h->daemon = MHD_start_daemon(flags, (uint16_t)o->port, NULL, NULL, on_request, h, MHD_OPTION_EXTERNAL_LOGGER,
                                 on_log, NULL, MHD_OPTION_SOCK_ADDR, address->ai_addr, MHD_OPTION_HTTPS_MEM_CERT,
                                 o->certificate.chain, MHD_OPTION_HTTPS_MEM_KEY, o->certificate.key,
                                 MHD_OPTION_NOTIFY_COMPLETED, on_completed, NULL, MHD_OPTION_CONNECTION_LIMIT,
                                 CONNECTIONS_MAX, MHD_OPTION_CONNECTION_TIMEOUT, IDLE_SECONDS, MHD_OPTION_END);
    freeaddrinfo(address);
    if (!h->daemon)
        return error_set(e, -EADDRINUSE,
                         "cannot listen on https://%s:%u: the port is taken, or the certificate is not "
                         "one",
                         o->address, o->port);
    return 0;
}

int https_new(struct store *s, struct faults *f, const struct https_options *o, struct https **ret, struct error *e)
{
    _cleanup_(https_freep) struct https *h = calloc(1, sizeof(*h));
    int r;

    if (!h)
        return -ENOMEM;
    TAILQ_INIT(&h->slow);
    TAILQ_INIT(&h->late);
    h->store = s;
    h->faults = f;
    h->api = o->api;
    h->key_file = o->key_file;
    h->record = -EBADF;
    if (o->record) {
        h->record = open(o->record, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (h->record < 0)
            return error_errno(e, -errno, "cannot open %s", o->record);
        if (fchmod(h->record, 0600) < 0)
            return error_errno(e, -errno, "cannot keep %s from others", o->record);
    }
    r = start(h, o, e);
    if (r >= 0)
        *ret = TAKE_PTR(h);
    return r;
}

struct https *https_free(struct https *h)
{
    struct exchange *x;

    if (!h)
        return NULL;
    while ((x = TAILQ_FIRST(&h->slow))) {
        TAILQ_REMOVE(&h->slow, x, entry);
        MHD_resume_connection(x->connection);
    }
    if (h->daemon)
        MHD_stop_daemon(h->daemon);
    while ((x = TAILQ_FIRST(&h->late))) {
        TAILQ_REMOVE(&h->late, x, entry);
        exchange_free(x);
    }
    safe_close(h->record);
    free(h);
    return NULL;
}

unsigned https_port(const struct https *h)
{
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(h->daemon, MHD_DAEMON_INFO_BIND_PORT);

    return info ? info->port : 0;
}

int https_fd(const struct https *h)
{
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(h->daemon, MHD_DAEMON_INFO_EPOLL_FD);

    return info ? info->epoll_fd : -EBADF;
}

static void wake_slow(struct https *h)
{
    uint64_t now = TAILQ_EMPTY(&h->slow) ? 0 : clock_boottime();
    struct exchange *x = TAILQ_FIRST(&h->slow), *next;

    for (; x; x = next) {
        next = TAILQ_NEXT(x, entry);
        if (x->due > now)
            continue;
        TAILQ_REMOVE(&h->slow, x, entry);
        MHD_resume_connection(x->connection);
    }
}

void https_process(struct https *h)
{
    wake_slow(h);
    MHD_run(h->daemon);
}

int https_timeout(const struct https *h)
{
    MHD_UNSIGNED_LONG_LONG ms;
    uint64_t due = USEC_INFINITY, now = clock_boottime();
    const struct exchange *x;

    if (MHD_get_timeout(h->daemon, &ms) == MHD_YES)
        due = now + MIN_OF((uint64_t)ms, UINT64_C(60000)) * USEC_PER_MSEC;
    TAILQ_FOREACH (x, &h->slow, entry)
        due = MIN_OF(due, x->due);
    if (due == USEC_INFINITY)
        return -1;
    return due <= now ? 0 : (int)MIN_OF((due - now + USEC_PER_MSEC - 1) / USEC_PER_MSEC, UINT64_C(60000));
}
