/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "events.h"

#include "base/clock.h"
#include "base/json.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static bool as_json;

void events_init(bool json)
{
    as_json = json;
    setvbuf(stdout, NULL, _IOFBF, 64 * 1024);
}

void events_flush(void)
{
    fflush(stdout);
}

/* Pairs of key and string, ended by NULL; a NULL string is left out. */
static json_object *object(const char *event, ...) __attribute__((sentinel));
static json_object *object(const char *event, ...)
{
    json_object *o = json_object_new_object();
    const char *key;
    va_list ap;

    json_object_object_add(o, "event", json_object_new_string(event));
    va_start(ap, event);
    while ((key = va_arg(ap, const char *))) {
        const char *value = va_arg(ap, const char *);

        if (value)
            json_object_object_add(o, key, json_object_new_string(value));
    }
    va_end(ap);
    return o;
}

/* With the moment: microseconds of CLOCK_BOOTTIME, the same for all processes. */
static void print_object(json_object *o)
{
    json_object_object_add(o, "at", json_object_new_uint64(clock_boottime()));
    puts(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
    json_object_put(o);
}

static const char *name_of(const struct device *d)
{
    return d ? d->id : NULL;
}

void event_listening(const char *address, unsigned port, unsigned https_port)
{
    const char *open = strchr(address, ':') ? "[" : "", *close = strchr(address, ':') ? "]" : "";

    if (as_json) {
        json_object *o = object("listening", "address", address, NULL);

        json_object_object_add(o, "port", json_object_new_int((int)port));
        if (https_port > 0)
            json_object_object_add(o, "https_port", json_object_new_int((int)https_port));
        print_object(o);
        return;
    }
    printf("listening on coaps://%s%s%s:%u\n", open, address, close, port);
    if (https_port > 0)
        printf("listening on https://%s%s%s:%u\n", open, address, close, https_port);
}

void event_session(const struct device *d, const char *identity, const char *suite, bool forward_secrecy,
                   const char *peer)
{
    if (as_json) {
        json_object *o =
            object("session", "device", name_of(d), "identity", identity, "suite", suite, "peer", peer, NULL);

        json_object_object_add(o, "forward_secrecy", json_object_new_boolean(forward_secrecy));
        print_object(o);
    } else
        printf("%-16s session     identity %s, %s%s, from %s\n", d->id, identity, suite,
               forward_secrecy ? "" : " (no forward secrecy)", peer);
}

void event_session_closed(const struct device *d, const char *identity, const char *peer)
{
    if (as_json)
        print_object(object("closed", "device", name_of(d), "identity", identity, "peer", peer, NULL));
    else
        printf("%-16s closed      identity %s, from %s\n", d->id, identity, peer);
}

void event_handshake_failed(const struct device *d, const char *identity, const char *reason, const char *peer)
{
    if (as_json)
        print_object(object("handshake-failed", "device", name_of(d), "identity", identity, "reason", reason, "peer",
                            peer, NULL));
    else
        printf("%-16s handshake failed: %s, identity %s, from %s\n", d ? d->id : "?", reason, identity, peer);
}

static void print_sample(const struct device *d, const struct senml_record *record)
{
    time_t seconds = (time_t)floor(record->time);
    char when[32];
    struct tm tm;

    if (!gmtime_r(&seconds, &tm) || strftime(when, sizeof(when), "%FT%T", &tm) == 0)
        snprintf(when, sizeof(when), "?");
    printf("%-16s %-24s %s%s%s  %s.%03dZ\n", d->id, record->name, json_object_get_string(record->value),
           record->unit[0] ? " " : "", record->unit, when, (int)((record->time - floor(record->time)) * 1000));
}

void event_samples(const struct device *d, const char *identity, const struct senml_pack *p)
{
    for (size_t i = 0; i < p->count; i++) {
        const struct senml_record *record = &p->records[i];
        json_object *o;
        char text[64];

        if (!as_json) {
            print_sample(d, record);
            continue;
        }
        o = object("sample", "device", name_of(d), "identity", identity, "name", record->name, "unit",
                   record->unit[0] ? record->unit : NULL, NULL);
        json_object_object_add(o, "value", json_object_get(record->value));
        snprintf(text, sizeof(text), "%.6f", record->time);
        json_object_object_add(o, "time", json_object_new_double_s(record->time, text));
        print_object(o);
    }
}

void event_probe(const struct device *d, const char *identity)
{
    if (as_json)
        print_object(object("probe", "device", name_of(d), "identity", identity, NULL));
    else
        printf("%-16s probe       identity %s\n", d->id, identity);
}

void event_credential(const char *event, const char *result, const struct credential *c)
{
    if (as_json)
        print_object(
            object(event, "result", result, "device", c->device->id, "id", c->id, "identity", c->identity, NULL));
    else
        printf("%-16s %s %s%sidentity %s, id %s\n", c->device->id, event, result ?: "", result ? ": " : "", c->identity,
               c->id);
}

void event_refused(const struct device *d, const char *identity, const char *method, const char *path, const char *code,
                   const char *reason)
{
    if (as_json)
        print_object(object("refused", "device", name_of(d), "identity", identity, "method", method, "path", path,
                            "code", code, "reason", reason, NULL));
    else
        printf("%-16s refused     %s %s: %s %s\n", d->id, method, path, code, reason);
}

void event_fault(const char *what, const struct device *d, const char *method, const char *path)
{
    if (as_json)
        print_object(object("fault", "fault", what, "device", name_of(d), "method", method, "path", path, NULL));
    else
        printf("%-16s fault       %s %s %s\n", d ? d->id : "-", what, method ?: "", path ?: "");
}

void event_request(const struct device *d, const char *method, const char *path, json_object *query, unsigned status,
                   const char *reason, bool late)
{
    json_object *o;

    if (!as_json) {
        printf("%-16s request     %s %s: %u %s%s\n", d ? d->id : "-", method, path, status, reason ?: "",
               late ? " (late)" : "");
        return;
    }
    o = object("request", "device", name_of(d), "method", method, "path", path, "reason", reason, NULL);
    if (query)
        json_object_object_add(o, "query", json_object_get(query));
    if (status > 0)
        json_object_object_add(o, "status", json_object_new_int((int)status));
    if (late)
        json_object_object_add(o, "late", json_object_new_boolean(true));
    print_object(o);
}

void event_settings(const struct device *d, const char *identity, json_object *status)
{
    const char *text = json_object_to_json_string_ext(status, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
    json_object *o;

    if (!as_json) {
        printf("%-16s settings    %s\n", d->id, text);
        return;
    }
    o = object("settings", "device", name_of(d), "identity", identity, NULL);
    json_object_object_add(o, "status", json_object_get(status));
    print_object(o);
}

void event_outcome(const struct device *d, const char *identity, json_object *outcome)
{
    const char *text = json_object_to_json_string_ext(outcome, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
    json_object *o;

    if (!as_json) {
        printf("%-16s outcome     %s\n", d->id, text);
        return;
    }
    o = object("outcome", "device", name_of(d), "identity", identity, NULL);
    json_object_object_add(o, "outcome", json_object_get(outcome));
    print_object(o);
}
