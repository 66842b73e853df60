/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a cloud sends: the first byte says from which source, and whether in CBOR, then a topic or location up to a NUL,
 * then the message. */
#include "payload/profile.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct profile_names names = {"boiler-1", "HW-1", "abcdefghij", "site-7", 50};

#define COAP                                                                                                            \
    "{\"telemetry\":{\"path\":\"t\"},\"probe\":{\"path\":\"t\",\"body\":1},\"responses\":{\"accept\":[\"2.xx\"]},"      \
    "\"commands\":[{\"observe\":\"c\",\"ignore\":[\"OK\"],\"id\":\"/id\",\"point\":\"/point\",\"value\":\"/params/0\"," \
    "\"reply\":{\"path\":\"r/{point}?s={status}&id={id}\",\"body\":{\"id\":\"{id}\"}}},"                                \
    "{\"observe\":\"d\",\"when\":{\"/v\":1},\"members\":\"/set\",\"reply\":{\"path\":\"o/{point}\"}},"                  \
    "{\"poll\":{\"path\":\"p\"},\"location\":[\"cr/{id}?c={point}\",\"c?c={point}\"],\"value\":\"\","                   \
    "\"reply\":{\"path\":\"cr/{id}?s={status}\"}},"                                                                     \
    "{\"observe\":\"s\",\"id\":\"/v\",\"members\":\"/set\",\"report\":{\"path\":\"q\",\"content_format\":60,"           \
    "\"body\":{\"v\":\"{id}\",\"e\":\"{errors}\"},\"error\":{\"k\":\"{point}\",\"c\":\"{status}\"}}}]}"
#define MQTT                                                                                                           \
    "{\"transport\":\"mqtt\",\"telemetry\":{\"topic\":\"t\"},\"probe\":\"none\",\"commands\":["                        \
    "{\"topic\":\"{device}/{point}/set/{id}\",\"value\":\"\",\"reply\":{\"topic\":\"r/{id}/{point}\"}},"               \
    "{\"topic\":\"{device}/c\",\"id\":\"\",\"point\":\"/p~1q/0\",\"value\":\"/v\",\"reply\":{\"topic\":\"r/{id}\"}}]}"

static const struct profile *profiles[2];

static void require(bool good, const char *what)
{
    if (good)
        return;
    fprintf(stderr, "%s\n", what);
    abort();
}

static void load(const char *text, const struct profile **ret)
{
    _cleanup_(mistakes_done) struct mistakes m = {0};
    _cleanup_free_ char *copy = strdup(text);
    struct profile *p = NULL;

    require(profile_parse("x.json", copy, strlen(copy), &p, &m) == 0, m.n > 0 ? m.list[0].text : "");
    *ret = p;
}

static size_t levels(const struct profile *p, const char *target)
{
    const char *ends = p->transport == PROFILE_MQTT ? "/" : "/?&";
    size_t n = 0;

    for (; *target; target++)
        n += strchr(ends, *target) != NULL;
    return n;
}

static void answer(const struct profile *p, const struct profile_command *c)
{
    _cleanup_(profile_message_done) struct profile_message m = {0};

    if (profile_outcome(p, &names, c, PROFILE_DONE, "", &c->value, &m) <= 0)
        return;
    require(!strpbrk(m.target, "+#"), "a wildcard or fragment in a target");
    require(levels(p, m.target) <= levels(p, p->sources[c->source].reply.target), "a word left its level");
    for (const char *at = m.target; *at; at++)
        require((uint8_t)*at >= 0x20, "a control character in a target");
}

/* A report that says of each write in turn another outcome. */
static void report(const struct profile *p, size_t source, const struct profile_commands *c)
{
    _cleanup_free_ struct profile_result *results = calloc(c->n + 1, sizeof(*results));
    _cleanup_(profile_message_done) struct profile_message m = {0};

    require(results, "memory");
    for (size_t i = 0; i < c->n; i++)
        results[i] = (struct profile_result){.point = c->list[i].point, .outcome = i % PROFILE_OUTCOMES};
    require(profile_report(p, source, &names, c->report_id, results, c->n, &m) == 1, "no report of a message");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    _cleanup_(profile_commands_done) struct profile_commands c = {0};
    _cleanup_free_ char *topic = NULL;
    struct error e = {""};
    const struct profile *p;
    size_t source, n_topic;
    bool cbor;
    int r;

    if (!profiles[0]) {
        load(COAP, &profiles[0]);
        load(MQTT, &profiles[1]);
    }
    if (size == 0)
        return 0;
    p = profiles[data[0] % 2];
    cbor = data[0] & 0x80;
    source = (data[0] & 0x7f) / 2 % p->n_sources;
    n_topic = strnlen((const char *)data + 1, size - 1);
    topic = strndup((const char *)data + 1, n_topic);
    data += 1 + n_topic;
    size -= 1 + n_topic;
    r = profile_commands(p, source, &names, topic, cbor ? 60 : -1, data + (size > 0), size - (size > 0), &c, &e);
    require(r == 0 || (r == -EBADMSG && e.text[0] && c.n == 1 && !c.list[0].point), "a refusal without words");
    for (size_t i = 0; i < c.n; i++) {
        require(!c.list[i].point || sample_value_valid(&c.list[i].value), "a value that no point can have");
        answer(p, &c.list[i]);
    }
    if (c.report_id)
        report(p, source, &c);
    return 0;
}
