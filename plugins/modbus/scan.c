/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which units answer on a bus, and what they are. A slice of units a call: between two of them the devices of the bus
 * are served. What the next slice has to know is in its option "resume". */
#include "look.h"

#include "device-internal.h"
#include "host.h"
#include "look-internal.h"
#include "pdu.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define SUNSPEC_COMMON 4 /* behind the mark */
#define SUNSPEC_COMMON_SIZE 64
#define SUNSPEC_MARK_1 0x5375 /* "Su" */
#define SUNSPEC_MARK_2 0x6e53 /* "nS" */
#define UNITS_FIRST 1
#define UNITS_LAST 247
#define UNIT_MAX 255

struct scan {
    unsigned first, last;
    unsigned next;
    uint64_t timeout;
    uint64_t seen[4]; /* a bit a unit that has been told of */
};

typedef void (*scan_found)(void *context, const char *object);

/* --- what a unit is --- */

static void add_text(json_object *o, const char *key, const char *text)
{
    if (*text)
        json_object_object_add(o, key, json_object_new_string(text));
}

static void add_characters(json_object *o, const char *key, const uint16_t *registers, unsigned length)
{
    const struct text_format f = {.length = length};
    char text[VALUE_TEXT_MAX];

    if (text_decode(&f, registers, text) == 0)
        add_text(o, key, text);
}

/* Whether SunSpec's mark is at one of the places where it may be, and where. A unit that falls silent is left alone. */
static bool find_sunspec(struct modbus_server *s, const struct server_terms *terms, uint16_t *ret_base)
{
    static const uint16_t bases[] = {40000, 50000, 0};
    struct modbus_failure failure;
    uint16_t mark[2];

    for (size_t i = 0; i < sizeof bases / sizeof bases[0]; i++) {
        *ret_base = bases[i];
        if (server_read(s, terms, TABLE_HOLDING, bases[i], 2, mark, &failure) < 0) {
            if (failure.kind != FAILURE_EXCEPTION)
                return false;
        } else if (mark[0] == SUNSPEC_MARK_1 && mark[1] == SUNSPEC_MARK_2) {
            return true;
        }
    }
    return false;
}

static bool add_sunspec(struct modbus_server *s, const struct server_terms *terms, json_object *o)
{
    uint16_t common[SUNSPEC_COMMON_SIZE], base;
    struct modbus_failure failure;

    if (!find_sunspec(s, terms, &base) || server_read(s, terms, TABLE_HOLDING, (uint16_t)(base + SUNSPEC_COMMON),
                                                      SUNSPEC_COMMON_SIZE, common, &failure) < 0)
        return false;
    add_characters(o, "maker", common, 32);
    add_characters(o, "model", common + 16, 32);
    add_characters(o, "version", common + 40, 16);
    add_characters(o, "serial", common + 48, 32);
    add_text(o, "by", "SunSpec");
    return true;
}

static void add_identification(struct modbus_server *s, const struct server_terms *terms, json_object *o)
{
    static const char *const keys[] = {"maker", "model", "version"};
    struct pdu_identification id;
    struct modbus_failure failure;

    if (server_identify(s, terms, &id, &failure) < 0)
        return;
    for (size_t i = 0; i < 3; i++)
        add_text(o, keys[i], id.texts[i]);
    add_text(o, "by", "identification");
}

static void tell(struct modbus_server *s, const struct server_terms *terms, const char *bus, scan_found found,
                 void *context)
{
    json_object *o = json_object_new_object();

    json_object_object_add(o, "unit", json_object_new_int((int)terms->unit));
    if (!add_sunspec(s, terms, o))
        add_identification(s, terms, o);
    add_text(o, "url", bus);
    found(context, look_text(o));
    json_object_put(o);
}

/* --- which answer --- */

/* Whether the unit answered in any way of its own. */
static bool is_there(int r, const struct modbus_failure *failure)
{
    return r == 0 || (failure->kind == FAILURE_EXCEPTION && failure->exception >= 0);
}

/* An answer to an older request has come: the server asks its units one after the other, and takes longer than it is
 * waited for. With more time all is asked again; what is under way there goes with the connection. */
static bool give_more_time(struct scan *scan, struct modbus_server *s)
{
    if (scan->timeout >= SCAN_TIMEOUT_MAX)
        return false;
    scan->timeout = 2 * scan->timeout < SCAN_TIMEOUT_MAX ? 2 * scan->timeout : SCAN_TIMEOUT_MAX;
    scan->next = scan->first;
    server_disconnect(s);
    return true;
}

static int scan_slice(struct scan *scan, struct modbus_server *s, struct server_terms terms, const char *bus,
                      scan_found found, void *context, char *error, size_t error_size)
{
    uint64_t end = monotonic_now() + (server_is_shared(s) ? SCAN_SLICE_SHARED : SCAN_SLICE);
    struct modbus_failure failure;
    unsigned asked = 0;
    uint16_t value;

    terms.may_be_absent = true;
    for (; scan->next <= scan->last && (asked < SCAN_SLICE_UNITS || monotonic_now() < end); scan->next++) {
        uint64_t *seen = &scan->seen[scan->next / 64], bit = UINT64_C(1) << scan->next % 64;
        if (*seen & bit)
            continue;
        terms.unit = scan->next;
        terms.timeout = scan->timeout;
        asked++;
        int r = server_read(s, &terms, TABLE_HOLDING, 0, 1, &value, &failure);
        if (r < 0 && failure.kind == FAILURE_SERVER) {
            (void)snprintf(error, error_size, "%s", failure.text);
            return r;
        }
        if (failure.late && give_more_time(scan, s))
            return 0;
        if (!is_there(r, &failure))
            continue;
        *seen |= bit;
        tell(s, &terms, bus, found, context);
    }
    return 0;
}

/* --- from one slice to the next --- */

static bool scan_resume(struct scan *scan, const char *text)
{
    int end = 0;

    return sscanf(text, "%3u %8" SCNu64 " %16" SCNx64 " %16" SCNx64 " %16" SCNx64 " %16" SCNx64 "%n", &scan->next,
                  &scan->timeout, &scan->seen[0], &scan->seen[1], &scan->seen[2], &scan->seen[3], &end) == 6 &&
           text[end] == 0 && scan->next >= scan->first && scan->next <= scan->last && scan->timeout >= TIMEOUT_MIN &&
           scan->timeout <= TIMEOUT_MAX;
}

static void tell_resume(const struct scan *scan, scan_found found, void *context)
{
    json_object *o = json_object_new_object();
    char text[128];

    (void)snprintf(text, sizeof text, "%u %" PRIu64 " %" PRIx64 " %" PRIx64 " %" PRIx64 " %" PRIx64, scan->next,
                   scan->timeout, scan->seen[0], scan->seen[1], scan->seen[2], scan->seen[3]);
    json_object_object_add(o, "resume", json_object_new_string(text));
    json_object_object_add(o, "done", json_object_new_int((int)(scan->next - scan->first)));
    json_object_object_add(o, "total", json_object_new_int((int)(scan->last - scan->first + 1)));
    found(context, look_text(o));
    json_object_put(o);
}

static bool units_of(json_object *units, unsigned *first, unsigned *last)
{
    char rest;
    int n;

    *first = UNITS_FIRST;
    *last = UNITS_LAST;
    if (!units)
        return true;
    if (!json_object_is_type(units, json_type_string) && !json_object_is_type(units, json_type_int))
        return false;
    n = sscanf(json_object_get_string(units), "%3u-%3u%c", first, last, &rest);
    if (n == 1)
        *last = *first;
    return (n == 1 || n == 2) && *first <= *last && *last <= UNIT_MAX;
}

static int begin(struct scan *scan, json_object *section, json_object *units, json_object *resume,
                 struct modbus_config **ret, char *error, size_t error_size)
{
    int r;

    if (!units_of(units, &scan->first, &scan->last))
        return look_fail(error, error_size, "expected \"units\": \"FIRST-LAST\", such as \"1-247\"");
    /* A unit that is there answers soon, and most are not there. */
    if (!json_object_object_get_ex(section, "timeout", NULL))
        json_object_object_add(section, "timeout", json_object_new_string("300ms"));
    r = look_config(section, NULL, 0, ret, error, error_size);
    if (r < 0)
        return r;
    scan->next = scan->first;
    scan->timeout = (*ret)->timeout;
    if (resume &&
        !(json_object_is_type(resume, json_type_string) && scan_resume(scan, json_object_get_string(resume)))) {
        *ret = modbus_config_free(*ret);
        return look_fail(error, error_size, "\"resume\" is not what this scan gave");
    }
    return 0;
}

int look_scan(const char *options, void (*found)(void *context, const char *object), void *context, char *error,
              size_t error_size)
{
    json_object *units = NULL, *resume = NULL, *section = look_options(options, "units", &units), *value;
    struct modbus_server *server = NULL;
    struct modbus_config *c = NULL;
    struct scan scan = {0};
    char bus[BUS_MAX];
    int r;

    if (section && json_object_object_get_ex(section, "resume", &value))
        resume = json_object_get(value);
    if (section)
        json_object_object_del(section, "resume");
    r = section ? begin(&scan, section, units, resume, &c, error, error_size)
                : look_fail(error, error_size, "expected a JSON object");
    if (r == 0)
        r = server_get(&c->url, &c->serial, &server, error, error_size);
    if (r == 0) {
        modbus_url_bus(&c->url, bus, sizeof bus);
        r = scan_slice(&scan, server, device_terms(c), bus, found, context, error, error_size);
    }
    if (r == 0 && scan.next <= scan.last)
        tell_resume(&scan, found, context);
    server_put(server);
    modbus_config_free(c);
    json_object_put(units);
    json_object_put(resume);
    json_object_put(section);
    return r;
}
