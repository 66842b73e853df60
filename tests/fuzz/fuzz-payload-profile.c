/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A profile, up to the first NUL, and behind it a command's topic or location, a NUL, and the command: whatever a
 * profile that is taken says is well-formed, and what a cloud wrote stays in its place. */
#include "base/json.h"
#include "payload/profile.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct profile_names names = {"boiler-1", "HW-1", "abcdefghij", "site-7", 50};
static const struct sample samples[] = {
    {"flow", 1700000000500000, {SAMPLE_INT, .x = INT64_MIN}, "Cel", 0},
    {"valve", 1700000000500000, {SAMPLE_DOUBLE, .d = 0.1}, "", SAMPLE_BAD},
    {"ts", 1700000000500000, {SAMPLE_BOOL, .b = true}, "", SAMPLE_STALE},
    {"flow", 1700000001000000, {SAMPLE_STRING, .s = "x\"\n{value}"}, "Cel", 0},
    {"flow", 1700000000000001, {SAMPLE_UINT, .t = UINT64_MAX}, "", SAMPLE_OUT_OF_RANGE},
};

static void require(bool good, const char *what)
{
    if (good)
        return;
    fprintf(stderr, "%s\n", what);
    abort();
}

static char *copy(const uint8_t *data, size_t n)
{
    char *text = strndup((const char *)data, n);

    require(text, "no memory");
    return text;
}

static void check_message(const struct profile *p, const struct profile_message *m)
{
    _cleanup_json_ json_object *o = NULL;

    require(m->target && m->target[0] && m->body && m->body[m->size] == 0, "a message without target or end");
    require(p->transport == PROFILE_COAP || !strpbrk(m->target, "+#"), "a wildcard in a topic");
    require(p->transport == PROFILE_MQTT || !strchr(m->target, '#'), "a fragment in a path");
    if (m->content_format == 50)
        require(m->size == 0 || json_parse(m->body, m->size, &o, NULL) >= 0 || p->transport == PROFILE_COAP, "no JSON");
}

static void check_packs(const struct profile *p)
{
    for (size_t n = 1; n <= ELEMENTSOF(samples); n++) {
        _cleanup_(profile_message_done) struct profile_message m = {0}, again = {0};
        ssize_t taken = profile_pack(p, &names, samples, n, n * 60, &m);

        if (taken < 0)
            continue;
        require(taken > 0 && (size_t)taken <= n && m.size <= n * 60, "a pack beyond its bounds");
        check_message(p, &m);
        require(profile_pack(p, &names, samples, (size_t)taken, n * 60, &again) == taken && again.size == m.size &&
                    memcmp(again.body, m.body, m.size) == 0,
                "a repeated pack differs");
    }
}

static void check_others(const struct profile *p)
{
    const struct profile_point point = {.name = "setpoint", .unit = "Cel", .writable = true, .min = 0, .max = INFINITY};
    struct profile_message m = {0};

    for (size_t i = 0; i < p->n_announcements; i++) {
        const struct profile_point *of = p->announcements[i].each == PROFILE_EACH_DEVICE ? NULL : &point;

        require(profile_announce(p, i, &names, of, &m) == 1, "no announcement");
        check_message(p, &m);
        profile_message_done(&m);
    }
    if (!p->probe.none) {
        require(profile_probe(p, &names, &m) == 0, "no probe");
        check_message(p, &m);
        profile_message_done(&m);
    }
    if (profile_will(p, &names, &m) > 0) {
        check_message(p, &m);
        profile_message_done(&m);
    }
    if (profile_log(p, &names, PROFILE_WARNING, "a", "b\"", &m) > 0) {
        check_message(p, &m);
        profile_message_done(&m);
    }
}

static size_t levels(const struct profile *p, const char *target)
{
    const char *ends = p->transport == PROFILE_MQTT ? "/" : "/?&";
    size_t n = 0;

    for (; *target; target++)
        n += strchr(ends, *target) != NULL;
    return n;
}

static void check_outcomes(const struct profile *p, const struct profile_commands *c)
{
    for (size_t i = 0; i < c->n; i++) {
        _cleanup_(profile_message_done) struct profile_message m = {0};

        require(!c->list[i].point || sample_value_valid(&c->list[i].value), "a value that no point can have");
        if (profile_outcome(p, &names, &c->list[i], PROFILE_FAILED, "it\xc3\xa9/+#?&", NULL, &m) <= 0)
            continue;
        check_message(p, &m);
        require(levels(p, m.target) <= levels(p, p->sources[c->list[i].source].reply.target), "a word left its level");
    }
}

static void check_commands(const struct profile *p, const char *topic, const uint8_t *data, size_t n)
{
    for (size_t i = 0; i < p->n_sources; i++) {
        _cleanup_(profile_message_done) struct profile_message m = {0};
        _cleanup_(profile_commands_done) struct profile_commands c = {0};
        struct error e = {""};
        int r;

        require(profile_source(p, i, &names, &m) == 0 && m.target, "no way to listen");
        r = profile_commands(p, i, &names, topic, n % 2 ? 60 : -1, data, n, &c, &e);
        require(r == 0 || (r == -EBADMSG && e.text[0] && c.n == 1 && !c.list[0].point), "a refusal without words");
        check_outcomes(p, &c);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    _cleanup_(mistakes_done) struct mistakes mistakes = {0};
    _cleanup_(profile_unrefp) struct profile *p = NULL;
    size_t n_text = strnlen((const char *)data, size), n_topic;
    _cleanup_free_ char *text = copy(data, n_text), *topic = NULL;
    int r = profile_parse("profile.json", text, n_text, &p, &mistakes);

    require((r == 0) == (mistakes.n_all == 0), "refused without a mistake, or taken with one");
    if (r < 0)
        return 0;
    check_packs(p);
    check_others(p);
    data += n_text + (n_text < size);
    size -= n_text + (n_text < size);
    n_topic = strnlen((const char *)data, size);
    topic = copy(data, n_topic);
    data += n_topic + (n_topic < size);
    size -= n_topic + (n_topic < size);
    check_commands(p, topic, data, size);
    check_commands(p, NULL, data, size);
    return 0;
}
