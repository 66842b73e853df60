/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Uplink sessions by hand, for the integration tests: reads commands on standard input, says what happens on standard
 * output, one line each. Keys come by standard input too; the vault lies in the directory given.
 *
 *   uplink-client STATE-DIR HOST PORT SUITE[,SUITE…] [unlimited|limited [mqtt|mqtt5|mqtt311 [KEEPALIVE [NSTART]]]]
 *
 *   credential N main|backup IDENTITY HEXKEY    start N main|backup    once N main|backup    adopt N main|backup
 *   get N PATH    put N PATH TEXT    observe N PATH    renew N    hurry N    stop N    bye N    leave N    info N quit
 *   publish N TOPIC TEXT    retain N TOPIC TEXT    cancel N (the last request)    subscribe N FILTER    unsubscribe N
 *   free-in N state|result|answer               frees the session from within that callback
 *
 * N is the number of a session, made when first named. Over MQTT the device's name is the client id, and its will is
 * "gone", to will/DEVICE. */
#include "base/encode.h"
#include "base/error.h"
#include "base/worker.h"
#include "coap/message.h"
#include "uplink/session.h"
#include "vault/vault.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define SESSIONS_MAX 4096
#define SUITES_MAX 8

struct client {
    sd_event *event;
    struct arena *arena;
    struct vault *vault;
    struct workers *workers;
    struct uplink *uplink;
    struct uplink_session *sessions[SESSIONS_MAX];
    bool mqtt;
    struct uplink_call *call[SESSIONS_MAX]; /* the last */
    struct uplink_subscription *subscription[SESSIONS_MAX];
    char free_in[SESSIONS_MAX]; /* 's'tate, 'r'esult or 'a'nswer: the first of these frees the session */
};

static struct client client;

static void die(const char *what, int r, const struct error *e)
{
    fprintf(stderr, "uplink-client: %s: %s %s\n", what, strerror(-r), e ? e->text : "");
    exit(1);
}

static void called(size_t n, char what)
{
    if (client.free_in[n] != what)
        return;
    client.free_in[n] = 0;
    client.sessions[n] = uplink_session_free(client.sessions[n]);
    printf("freed %zu\n", n);
}

static void on_state(void *userdata, enum uplink_state state, const char *reason)
{
    printf("state %zu %s %s\n", (size_t)(uintptr_t)userdata, uplink_state_text(state), reason);
    called((uintptr_t)userdata, 's');
}

static void on_result(void *userdata, enum uplink_result result, bool full, const char *reason)
{
    printf("result %zu %s %s %s\n", (size_t)(uintptr_t)userdata, uplink_result_text(result), full ? "full" : "ticket",
           reason);
    called((uintptr_t)userdata, 'r');
}

/* A device has two credentials, and so two sessions: 2 n and 2 n + 1. */
static void device_of(size_t n, char device[static DEVICE_ID_MAX])
{
    snprintf(device, DEVICE_ID_MAX, "d%zu", n / 2);
}

static int on_introduce(void *userdata, struct uplink_introduction *ret)
{
    char device[DEVICE_ID_MAX];

    device_of((uintptr_t)userdata, device);
    ret->client_id = strdup(device);
    ret->will_payload = strdup("gone");
    ret->will_size = strlen("gone");
    ret->will_retain = true;
    return asprintf(&ret->will_topic, "will/%s", device) < 0 ? -ENOMEM : 0;
}

static const struct uplink_session_ops ops = {.state = on_state, .result = on_result, .introduce = on_introduce};

static void print_response(size_t n, int r, const struct uplink_response *response)
{
    if (r < 0 || !response)
        printf("response %zu %s\n", n, strerror(-r));
    else if (client.mqtt)
        printf("response %zu 0x%02x\n", n, response->code);
    else
        printf("response %zu %u.%02u %.*s\n", n, COAP_CODE_CLASS(response->code), COAP_CODE_DETAIL(response->code),
               (int)response->payload_size, (const char *)response->payload);
}

static void on_response(int r, const struct uplink_response *response, void *userdata)
{
    print_response((uintptr_t)userdata, r, response);
    called((uintptr_t)userdata, 'a');
}

static void on_message(int r, const struct uplink_response *response, void *userdata)
{
    size_t n = (uintptr_t)userdata;

    if (r < 0)
        printf("message %zu %s\n", n, strerror(-r));
    else
        printf("message %zu %s %.*s\n", n, response->topic, (int)response->payload_size,
               (const char *)response->payload);
    called(n, 'a');
}

static struct uplink_session *session(size_t n)
{
    int r;

    if (n >= SESSIONS_MAX)
        die("session", -EINVAL, NULL);
    if (!client.sessions[n]) {
        r = uplink_session_new(client.uplink, &ops, (void *)(uintptr_t)n, &client.sessions[n]);
        if (r < 0)
            die("uplink_session_new", r, NULL);
    }
    return client.sessions[n];
}

static void credential(size_t n, const char *slot, const char *identity, const char *hex)
{
    struct vault_change *change;
    struct secret *key = NULL;
    struct error e = {0};
    char device[DEVICE_ID_MAX];
    ssize_t size;
    int r;

    device_of(n, device);
    r = secret_new(client.arena, &key);
    if (r < 0)
        die("secret_new", r, NULL);
    size = hex_decode(hex, strlen(hex), key->bytes, ARENA_CELL_SIZE);
    if (size < 0)
        die("key", (int)size, NULL);
    key->size = (size_t)size;
    change = vault_change_new(client.vault, device, "cloud");
    r = vault_change_put(change, (enum vault_slot)vault_slot_from_string(slot), identity, VAULT_PSK, key,
                         VAULT_FORCE_WEAK | VAULT_SHARES_IDENTITY, &e);
    secret_free(key);
    if (r < 0)
        die("vault_change_put", r, &e);
    r = vault_commit_sync(client.vault, change, &e);
    if (r < 0)
        die("vault_commit_sync", r, &e);
}

static void begin(size_t n, const char *slot, bool once)
{
    enum vault_slot which = (enum vault_slot)vault_slot_from_string(slot);
    const struct vault_entry *entry;
    char device[DEVICE_ID_MAX];
    int r;

    device_of(n, device);
    entry = vault_find(client.vault, device, "cloud");
    if (!entry)
        die("no credential", -ENOENT, NULL);
    r = once ? uplink_session_once(session(n), device, entry, which)
             : uplink_session_start(session(n), device, entry, which);
    if (r < 0)
        die("start", r, NULL);
}

static void request(size_t n, uint8_t method, const char *path, const char *text)
{
    const struct uplink_request request = {
        .method = method,
        .target = path,
        .content_format = -1,
        .accept = -1,
        .payload = text,
        .payload_size = text ? strlen(text) : 0,
    };
    int r = uplink_session_request(session(n), &request, on_response, (void *)(uintptr_t)n, NULL);

    if (r < 0)
        printf("response %zu %s\n", n, strerror(-r));
}

static void publish(size_t n, const char *topic, const char *text, bool retain)
{
    const struct uplink_request request = {
        .target = topic, .payload = text, .payload_size = strlen(text), .retain = retain};
    int r = uplink_session_request(session(n), &request, on_response, (void *)(uintptr_t)n, &client.call[n]);

    if (r < 0)
        printf("response %zu %s\n", n, strerror(-r));
}

static void subscribe(size_t n, const char *filter)
{
    int r = uplink_session_subscribe(session(n), filter, -1, on_message, (void *)(uintptr_t)n, &client.subscription[n]);

    if (r < 0)
        printf("message %zu %s\n", n, strerror(-r));
}

static void observe(size_t n, const char *path)
{
    struct uplink_subscription *observation;
    int r = uplink_session_subscribe(session(n), path, -1, on_response, (void *)(uintptr_t)n, &observation);

    if (r < 0)
        printf("response %zu %s\n", n, strerror(-r));
}

static void info(size_t n)
{
    struct uplink_info i;

    uplink_session_info(session(n), &i);
    printf(
        "info %zu state=%s slot=%s suite=%s group=%s secrecy=%d resumed=%d address=%s full_at=%llu rtt=%llu full=%llu "
        "ticket=%llu failed=%llu dropped=%llu switches=%llu kept=%llu refused=%llu tells=%d\n",
        n, uplink_state_text(i.state), vault_slot_to_string(i.slot), i.suite, i.group[0] ? i.group : "-",
        i.forward_secrecy, i.resumed, i.address, (unsigned long long)i.full_at, (unsigned long long)i.rtt,
        (unsigned long long)i.counters.handshakes_full, (unsigned long long)i.counters.handshakes_resumed,
        (unsigned long long)i.counters.handshakes_failed, (unsigned long long)i.counters.dropped,
        (unsigned long long)i.counters.stale_switches, (unsigned long long)i.counters.stale_kept,
        (unsigned long long)i.counters.renegotiations_refused, i.tells_refusals);
}

static void command(char *line)
{
    char *save = NULL;
    const char *verb = strtok_r(line, " ", &save);
    const char *number = strtok_r(NULL, " ", &save);
    const char *a = strtok_r(NULL, " ", &save);
    const char *b = strtok_r(NULL, " ", &save);
    const char *c = strtok_r(NULL, " ", &save);
    size_t n = number ? strtoul(number, NULL, 10) : 0;

    if (!verb)
        return;
    if (strcmp(verb, "quit") == 0)
        sd_event_exit(client.event, 0);
    else if (strcmp(verb, "credential") == 0 && c)
        credential(n, a, b, c);
    else if (strcmp(verb, "start") == 0 && a)
        begin(n, a, false);
    else if (strcmp(verb, "once") == 0 && a)
        begin(n, a, true);
    else if (strcmp(verb, "adopt") == 0 && a)
        uplink_session_adopt(session(n), (enum vault_slot)vault_slot_from_string(a));
    else if (strcmp(verb, "get") == 0 && a)
        request(n, COAP_GET, a, NULL);
    else if (strcmp(verb, "put") == 0 && b)
        request(n, COAP_PUT, a, b);
    else if (strcmp(verb, "observe") == 0 && a)
        observe(n, a);
    else if ((strcmp(verb, "publish") == 0 || strcmp(verb, "retain") == 0) && b)
        publish(n, a, b, verb[0] == 'r');
    else if (strcmp(verb, "cancel") == 0)
        uplink_call_cancel(client.call[n]);
    else if (strcmp(verb, "subscribe") == 0 && a)
        subscribe(n, a);
    else if (strcmp(verb, "unsubscribe") == 0)
        uplink_subscription_cancel(TAKE_PTR(client.subscription[n]));
    else if (strcmp(verb, "free-in") == 0 && a)
        client.free_in[n] = a[0];
    else if (strcmp(verb, "renew") == 0)
        uplink_session_renew(session(n));
    else if (strcmp(verb, "hurry") == 0)
        uplink_session_hurry(session(n));
    else if (strcmp(verb, "stop") == 0)
        uplink_session_stop(session(n), UPLINK_SILENT);
    else if (strcmp(verb, "bye") == 0)
        uplink_session_stop(session(n), UPLINK_BYE);
    else if (strcmp(verb, "leave") == 0)
        uplink_session_stop(session(n), UPLINK_BYE_FOR_GOOD);
    else if (strcmp(verb, "info") == 0)
        info(n);
    else
        die(verb, -EINVAL, NULL);
}

static int on_input(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
    static char buffer[65536];
    static size_t used;
    ssize_t n = read(fd, buffer + used, sizeof(buffer) - used - 1);
    char *end;

    if (n <= 0)
        return sd_event_exit(client.event, 0);
    used += (size_t)n;
    buffer[used] = 0;
    while ((end = strchr(buffer, '\n'))) {
        size_t size = (size_t)(end - buffer) + 1;

        *end = 0;
        command(buffer);
        used -= size;
        memmove(buffer, buffer + size, used + 1);
    }
    return 0;
}

static void open_vault(const char *directory)
{
    static const char keyfile_bytes[KEYFILE_SIZE] = "a keyfile for a test, not secret";
    _cleanup_free_ char *path = NULL, *keyfile = NULL;
    struct vault_options options = {.allow_volatile = true};
    struct error e = {0};
    FILE *f;
    int r;

    if (asprintf(&path, "%s/vault.db", directory) < 0 || asprintf(&keyfile, "%s/keyfile", directory) < 0)
        die("paths", -ENOMEM, NULL);
    umask(077);
    f = fopen(keyfile, "w");
    if (!f || fwrite(keyfile_bytes, 1, sizeof(keyfile_bytes), f) != sizeof(keyfile_bytes) || fclose(f) != 0)
        die(keyfile, -errno, NULL);
    options.path = path;
    options.keyfile = keyfile;
    r = arena_new(&client.arena, &e);
    if (r >= 0)
        r = vault_open(client.event, client.arena, &options, &client.vault, &e);
    if (r < 0)
        die("vault", r, &e);
}

static void open_uplink(char *argv[])
{
    const char *suites[SUITES_MAX + 1] = {NULL};
    struct uplink_options options = {
        .name = "cloud",
        .host = argv[2],
        .port = (uint16_t)strtoul(argv[3], NULL, 10),
        .suites = suites,
        .arena = client.arena,
        .admission.unlimited = argv[5] && strcmp(argv[5], "unlimited") == 0,
    };
    char *save = NULL, *suite = strtok_r(argv[4], ",", &save);
    struct error e = {0};
    int r;

    if (argv[5] && argv[6]) {
        options.transport = UPLINK_MQTT;
        options.mqtt_version = strcmp(argv[6], "mqtt5") == 0     ? UPLINK_MQTT_5
                               : strcmp(argv[6], "mqtt311") == 0 ? UPLINK_MQTT_311
                                                                 : UPLINK_MQTT_AUTO;
        options.keepalive = argv[7] ? strtoul(argv[7], NULL, 10) * USEC_PER_SEC : 0;
        options.nstart = argv[7] && argv[8] ? (unsigned)strtoul(argv[8], NULL, 10) : 0;
        client.mqtt = true;
    }
    for (size_t i = 0; i < SUITES_MAX && suite; i++, suite = strtok_r(NULL, ",", &save))
        suites[i] = suite;
    r = workers_new(client.event, 1, &client.workers);
    if (r >= 0)
        r = uplink_new(client.event, client.workers, client.vault, &options, &client.uplink, &e);
    if (r < 0)
        die("uplink", r, &e);
}

int main(int argc, char *argv[])
{
    int r;

    if (argc < 5) {
        fprintf(stderr, "usage: uplink-client STATE-DIR HOST PORT SUITE[,SUITE...] [unlimited|limited "
                        "[mqtt|mqtt5|mqtt311 [KEEPALIVE [NSTART]]]]\n");
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    setvbuf(stdout, NULL, _IOLBF, 0);
    (void)uplink_raise_nofile(0, NULL);
    r = sd_event_new(&client.event);
    if (r < 0)
        die("event", r, NULL);
    open_vault(argv[1]);
    open_uplink(argv);
    r = sd_event_add_io(client.event, NULL, STDIN_FILENO, EPOLLIN, on_input, NULL);
    if (r < 0)
        die("stdin", r, NULL);
    puts("ready");
    r = sd_event_loop(client.event);
    for (size_t i = 0; i < SESSIONS_MAX; i++)
        client.sessions[i] = uplink_session_free(client.sessions[i]);
    client.uplink = uplink_free(client.uplink);
    client.workers = workers_free(client.workers);
    client.vault = vault_free(client.vault);
    client.arena = arena_free(client.arena);
    sd_event_unref(client.event);
    return r < 0;
}
