/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "commands.h"

#include "downlink.h"
#include "events.h"
#include "observe.h"

#include "base/clock.h"
#include "base/encode.h"
#include "base/json.h"

#include <gnutls/gnutls.h>
#include <stdio.h>
#include <string.h>

struct command {
    const char *name;
    /* Fills `answer`; negative: `e` says why. */
    int (*run)(struct cloud *cloud, json_object *o, json_object *answer, struct error *e);
    const char *keys; /* that it takes, each followed by a space */
};

static int number(json_object *o, const char *key, uint64_t missing, uint64_t *ret, struct error *e)
{
    json_object *v;

    if (!json_object_object_get_ex(o, key, &v)) {
        *ret = missing;
        return 0;
    }
    if (!json_object_is_type(v, json_type_int) || json_object_get_int64(v) < 0)
        return error_set(e, -EINVAL, "\"%s\" is not a whole number", key);
    *ret = (uint64_t)json_object_get_int64(v);
    return 0;
}

static int text(json_object *o, const char *key, char *ret, size_t size, struct error *e)
{
    json_object *v;

    ret[0] = 0;
    if (!json_object_object_get_ex(o, key, &v))
        return 0;
    if (!json_object_is_type(v, json_type_string) || (size_t)json_object_get_string_len(v) >= size)
        return error_set(e, -EINVAL, "\"%s\" is not a string of at most %zu bytes", key, size - 1);
    snprintf(ret, size, "%s", json_object_get_string(v));
    return 0;
}

/* "4.03" of CoAP, or "429" of HTTP. */
static int code(const char *given, uint16_t *ret, struct error *e)
{
    unsigned class, detail;
    char rest;

    if (given && sscanf(given, "%3u%c", &class, &rest) == 1 && class >= 400 && class <= 599) {
        *ret = (uint16_t) class;
        return 0;
    }
    if (!given || sscanf(given, "%1u.%2u%c", &class, &detail, &rest) != 2 || class < 2 || class > 5 || detail > 31)
        return error_set(e, -EINVAL, "\"code\": expected a response code such as \"4.03\", or \"429\" of HTTP");
    *ret = (uint16_t)(class << 5 | detail);
    return 0;
}

static int add_fault(struct cloud *cloud, json_object *o, enum fault_kind kind, uint64_t default_times, struct error *e)
{
    struct fault f = {.kind = kind};
    uint64_t max_age = 0;
    int r = text(o, "path", f.path, sizeof(f.path), e);

    if (r >= 0)
        r = text(o, "method", f.method, sizeof(f.method), e);
    if (r >= 0)
        r = text(o, "device", f.device, sizeof(f.device), e);
    if (r >= 0)
        r = number(o, "times", default_times, &f.times, e);
    if (r >= 0)
        r = number(o, "ms", 0, &f.delay_ms, e);
    if (r >= 0)
        r = number(o, "max_age", 0, &max_age, e);
    if (r >= 0 && kind == FAULT_REFUSE)
        r = code(json_get_string(o, "code"), &f.code, e);
    if (r >= 0 && kind == FAULT_SLOW && (f.delay_ms == 0 || f.delay_ms > 3600 * 1000))
        r = error_set(e, -EINVAL, "\"ms\": expected 1 to 3600000");
    if (r < 0)
        return r;
    f.max_age = (uint32_t)max_age;
    if (f.times == 0)
        f.times = UINT64_MAX;
    r = faults_add(server_faults(cloud->server), &f);
    return r < 0 ? error_set(e, r, "there are %d rules already", FAULT_RULES_MAX) : 0;
}

static int run_slow(struct cloud *cloud, json_object *o, json_object *answer, struct error *e)
{
    return add_fault(cloud, o, FAULT_SLOW, 0, e);
}

static int run_refuse(struct cloud *cloud, json_object *o, json_object *answer, struct error *e)
{
    return add_fault(cloud, o, FAULT_REFUSE, 1, e);
}

static int run_lose_before(struct cloud *cloud, json_object *o, json_object *answer, struct error *e)
{
    return add_fault(cloud, o, FAULT_LOSE_BEFORE, 1, e);
}

static int run_lose_after(struct cloud *cloud, json_object *o, json_object *answer, struct error *e)
{
    return add_fault(cloud, o, FAULT_LOSE_AFTER, 1, e);
}

static int run_late(struct cloud *cloud, json_object *o, json_object *answer, struct error *e)
{
    return add_fault(cloud, o, FAULT_LATE, 1, e);
}

static int run_pretend(struct cloud *cloud, json_object *o, json_object *answer, struct error *e)
{
    return add_fault(cloud, o, FAULT_PRETEND, 1, e);
}

static int run_half(struct cloud *cloud, json_object *o, json_object *answer, struct error *e)
{
    return add_fault(cloud, o, FAULT_HALF, 1, e);
}

static int run_stale(struct cloud *cloud, json_object *o, json_object *answer, struct error *e)
{
    return add_fault(cloud, o, FAULT_STALE, 1, e);
}

static int run_deliver(struct cloud *cloud, json_object *o, json_object *answer, struct error *e)
{
    size_t n = cloud->https ? https_deliver(cloud->https) : 0;

    json_object_object_add(answer, "delivered", json_object_new_int64((int64_t)n));
    return 0;
}

static int run_snapshot(struct cloud *cloud, json_object *o, json_object *answer, struct error *e)
{
    cloud->snapshot = store_changes(server_store(cloud->server));
    cloud->has_snapshot = true;
    return 0;
}

static int run_restore(struct cloud *cloud, json_object *o, json_object *answer, struct error *e)
{
    if (!cloud->has_snapshot)
        return error_set(e, -EINVAL, "there is no snapshot to restore");
    event_fault("restore", NULL, NULL, NULL);
    return store_restore(server_store(cloud->server), cloud->snapshot, e);
}

static int run_clear(struct cloud *cloud, json_object *o, json_object *answer, struct error *e)
{
    faults_clear(server_faults(cloud->server));
    return server_silence(cloud->server, 0);
}

static int run_silence(struct cloud *cloud, json_object *o, json_object *answer, struct error *e)
{
    uint64_t ms = 0;
    int r = number(o, "ms", 0, &ms, e);

    if (r < 0)
        return r;
    if (ms == 0 || ms > 3600 * 1000)
        return error_set(e, -EINVAL, "\"ms\": expected 1 to 3600000");
    event_fault("silence", NULL, NULL, NULL);
    r = server_silence(cloud->server, clock_boottime() + ms * USEC_PER_MSEC);
    return r < 0 ? error_errno(e, r, "cannot attach a socket filter") : 0;
}

static int run_clock(struct cloud *cloud, json_object *o, json_object *answer, struct error *e)
{
    uint64_t ms = 0;
    int r = number(o, "ms", 0, &ms, e);

    if (r >= 0)
        server_set_clock(cloud->server, ms);
    return r;
}

static int run_restart(struct cloud *cloud, json_object *o, json_object *answer, struct error *e)
{
    event_fault("restart", NULL, NULL, NULL);
    return server_restart(cloud->server, e);
}

static int run_forget_key(struct cloud *cloud, json_object *o, json_object *answer, struct error *e)
{
    const char *key = json_get_string(o, "key");
    struct credential *c;
    int r;

    if (!key)
        return error_set(e, -EINVAL, "\"key\": expected an id or an identity");
    r = store_forget_key(server_store(cloud->server), key, &c, e);
    if (r >= 0)
        event_fault("forget-key", c->device, NULL, c->identity);
    return r;
}

static int run_forget_device(struct cloud *cloud, json_object *o, json_object *answer, struct error *e)
{
    const char *id = json_get_string(o, "device");
    struct device *d = id ? store_device(server_store(cloud->server), id) : NULL;
    int r = id ? store_forget_device(server_store(cloud->server), id, e)
               : error_set(e, -EINVAL, "\"device\": expected an id");

    if (r >= 0)
        event_fault("forget-device", d, NULL, NULL);
    return r;
}

static int run_add_credential(struct cloud *cloud, json_object *o, json_object *answer, struct error *e)
{
    const char *identity = json_get_string(o, "identity"), *hex = json_get_string(o, "key");
    uint8_t key[KEY_MAX];
    struct credential *c;
    ssize_t n;
    int r;

    if (!identity || !hex)
        return error_set(e, -EINVAL, "expected \"identity\" and \"key\" in hex");
    n = hex_decode(hex, strlen(hex), key, sizeof(key));
    if (n < 0)
        return error_set(e, -EINVAL, "\"key\": expected %d to %d bytes in hex", KEY_MIN, KEY_MAX);
    r = store_put(server_store(cloud->server), identity, key, (size_t)n, json_get_string(o, "device"), &c, e);
    gnutls_memset(key, 0, sizeof(key));
    if (r < 0)
        return r;
    json_object_object_add(answer, "id", json_object_new_string(c->id));
    event_credential("credential", "added", c);
    return 0;
}

static int run_credentials(struct cloud *cloud, json_object *o, json_object *answer, struct error *e)
{
    const char *only = json_get_string(o, "device");
    json_object *list = json_object_new_array();

    json_object_object_add(answer, "credentials", list);
    for (struct device *d = store_devices(server_store(cloud->server)); d; d = d->next)
        for (struct credential *c = d->credentials; c && (!only || strcmp(only, d->id) == 0); c = c->next) {
            json_object *entry = json_object_new_object();
            char fingerprint[17];

            credential_fingerprint(c, fingerprint);
            json_object_object_add(entry, "device", json_object_new_string(d->id));
            json_object_object_add(entry, "id", json_object_new_string(c->id));
            json_object_object_add(entry, "identity", json_object_new_string(c->identity));
            json_object_object_add(entry, "fingerprint", json_object_new_string(fingerprint));
            json_object_array_add(list, entry);
        }
    return 0;
}

static int run_command(struct cloud *cloud, json_object *o, json_object *answer, struct error *e)
{
    const char *device = json_get_string(o, "device"), *point = json_get_string(o, "point"),
               *body = json_get_string(o, "body");
    json_object *value = NULL;
    bool has_value = json_object_object_get_ex(o, "value", &value);
    struct device *d = device ? store_device(server_store(cloud->server), device) : NULL;
    int64_t id;
    int r;

    if (!device || (body ? point || has_value : !point || !has_value))
        return error_set(e, -EINVAL, "expected \"device\" and either \"point\" and \"value\" or \"body\"");
    if (!d)
        return error_set(e, -ENOENT, "no device '%s'", device);
    r = downlink_add(d, point, value, body, &id, e);
    if (r < 0)
        return r;
    json_object_object_add(answer, "id", json_object_new_int64(id));
    if (r > 0)
        observe_changed(cloud->server, d, OBSERVABLE_COMMANDS);
    return 0;
}

/* A project's settings of one device, as Golioth shows them; each time another version. */
static int run_settings(struct cloud *cloud, json_object *o, json_object *answer, struct error *e)
{
    const char *device = json_get_string(o, "device");
    struct device *d = device ? store_device(server_store(cloud->server), device) : NULL;
    json_object *settings;

    if (!device || !json_object_object_get_ex(o, "settings", &settings) ||
        !json_object_is_type(settings, json_type_object))
        return error_set(e, -EINVAL, "expected \"device\" and \"settings\", an object");
    if (!d)
        return error_set(e, -ENOENT, "no device '%s'", device);
    json_object_put(d->settings);
    d->settings = json_object_get(settings);
    d->settings_version++;
    json_object_object_add(answer, "version", json_object_new_int64(d->settings_version));
    observe_changed(cloud->server, d, OBSERVABLE_SETTINGS);
    return 0;
}

static int run_ping(struct cloud *cloud, json_object *o, json_object *answer, struct error *e)
{
    return 0;
}

static int run_stats(struct cloud *cloud, json_object *o, json_object *answer, struct error *e)
{
    json_object *devices = json_object_new_object();

    json_object_object_add(answer, "held", json_object_new_int64((int64_t)server_held(cloud->server)));
    json_object_object_add(answer, "sessions", json_object_new_int64((int64_t)server_sessions(cloud->server)));
    json_object_object_add(answer, "devices", devices);
    for (struct device *d = store_devices(server_store(cloud->server)); d; d = d->next) {
        json_object *entry;
        int credentials = 0;

        if (d->forgotten)
            continue;
        for (struct credential *c = d->credentials; c; c = c->next)
            credentials++;
        entry = json_object_new_object();
        json_object_object_add(entry, "credentials", json_object_new_int(credentials));
        json_object_object_add(entry, "handshakes", json_object_new_int64((int64_t)d->sessions));
        json_object_object_add(entry, "packs", json_object_new_int64((int64_t)d->packs));
        json_object_object_add(entry, "samples", json_object_new_int64((int64_t)d->samples));
        json_object_object_add(entry, "probes", json_object_new_int64((int64_t)d->probes));
        json_object_object_add(devices, d->id, entry);
    }
    return 0;
}

static const struct command commands[] = {
    {"slow", run_slow, "ms path method device times "},
    {"refuse", run_refuse, "code max_age path method device times "},
    {"lose-before-apply", run_lose_before, "path method device times "},
    {"lose-after-apply", run_lose_after, "path method device times "},
    {"apply-late", run_late, "path method device times "},
    {"pretend", run_pretend, "path method device times "},
    {"half-answer", run_half, "path method device times "},
    {"stale-read", run_stale, "path method device times "},
    {"deliver", run_deliver, ""},
    {"snapshot", run_snapshot, ""},
    {"restore", run_restore, ""},
    {"clear", run_clear, ""},
    {"silence", run_silence, "ms "},
    {"clock", run_clock, "ms "},
    {"restart", run_restart, ""},
    {"forget-key", run_forget_key, "key "},
    {"forget-device", run_forget_device, "device "},
    {"add-credential", run_add_credential, "identity key device "},
    {"credentials", run_credentials, "device "},
    {"command", run_command, "device point value body "},
    {"settings", run_settings, "device settings "},
    {"ping", run_ping, ""},
    {"stats", run_stats, ""},
};

static int check_keys(const struct command *c, json_object *o, struct error *e)
{
    json_object_object_foreach (o, key, value) {
        char word[64];

        (void)value;
        snprintf(word, sizeof(word), "%s ", key);
        if (strcmp(key, "command") != 0 && !strstr(c->keys, word))
            return error_set(e, -EINVAL, "'%s' takes no \"%s\"", c->name, key);
    }
    return 0;
}

static int run(struct cloud *cloud, json_object *o, json_object *answer, struct error *e)
{
    const char *name = json_object_is_type(o, json_type_object) ? json_get_string(o, "command") : NULL;
    int r;

    if (!name)
        return error_set(e, -EINVAL, "expected an object with \"command\"");
    for (size_t i = 0; i < ELEMENTSOF(commands); i++)
        if (strcmp(commands[i].name, name) == 0) {
            r = check_keys(&commands[i], o, e);
            return r < 0 ? r : commands[i].run(cloud, o, answer, e);
        }
    return error_set(e, -EINVAL, "no command '%s'", name);
}

json_object *commands_run(struct cloud *cloud, const char *line, size_t n)
{
    _cleanup_json_ json_object *o = NULL;
    json_object *answer = json_object_new_object();
    struct error e = {};
    int r = json_parse(line, n, &o, &e);

    json_object_object_add(answer, "ok", json_object_new_boolean(true));
    if (r >= 0)
        r = run(cloud, o, answer, &e);
    if (r < 0) {
        json_object_object_add(answer, "ok", json_object_new_boolean(false));
        json_object_object_add(answer, "error", json_object_new_string(e.text));
    }
    return answer;
}
