/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Configuration files. The first byte says which kind the rest is: gatehouse.json, a device, a profile. */
#include "base/json.h"
#include "base/prescan.h"
#include "config/internal.h"
#include "payload/profile.h"

#include <stdio.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char *copy(const uint8_t *data, size_t n)
{
    char *text = malloc(n + 1);

    if (!text)
        abort();
    if (n > 0)
        memcpy(text, data, n);
    text[n] = 0;
    return text;
}

static void require(bool good, const char *what)
{
    if (good)
        return;
    fprintf(stderr, "%s\n", what);
    abort();
}

/* What the prescan takes, json-c takes; lines stay lines; every value has its place. */
static void prescan(const uint8_t *data, size_t n)
{
    _cleanup_(prescan_freep) struct prescan *s = NULL;
    _cleanup_free_ char *text = copy(data, n);
    _cleanup_json_ json_object *o = NULL;
    struct position at = {0};
    struct error e = {""};

    if (prescan_new(text, n, &s, &at, &e) < 0) {
        require(at.line > 0 && at.column > 0 && e.text[0], "a refusal without place or words");
        return;
    }
    require(json_parse(text, n, &o, &e) == 0, e.text);
    for (size_t i = 0; i < n; i++)
        require((text[i] == '\n') == (data[i] == '\n'), "a line was lost");
    for (uint32_t i = 1; i < prescan_count(s); i++) {
        require(prescan_parent(s, i) < i, "a value before its parent");
        require(!prescan_is_member(s, i) || prescan_child(s, prescan_parent(s, i), prescan_key(s, i)) == i,
                "a key that is not found");
    }
}

static void globals(const uint8_t *data, size_t n, struct mistakes *mistakes)
{
    _cleanup_(config_unrefp) struct config *c = calloc(1, sizeof(*c));
    _cleanup_free_ char *text = copy(data, n);
    int r;

    c->refs = 1;
    c->file = strdup("gatehouse.json");
    r = config_parse_globals(c, text, n, mistakes);
    require((r == 0) == (mistakes->n_all == 0), "gatehouse.json: refused without a mistake, or taken with one");
}

static void device(const uint8_t *data, size_t n, struct mistakes *mistakes)
{
    _cleanup_(device_file_done) struct device_file f = {.path = strdup("device.json")};
    _cleanup_free_ char *text = copy(data, n);
    _cleanup_json_ json_object *section = NULL, *points = NULL;

    require(config_read_device(NULL, text, n, &f, mistakes) == 0, "a device file: no answer");
    require((f.device != NULL) == (mistakes->n_all == 0), "a device: refused without a mistake, or taken with one");
    if (!f.device)
        return;
    require(json_parse(f.device->section, strlen(f.device->section), &section, NULL) == 0, "a section that is no JSON");
    require(json_parse(f.device->points_text, strlen(f.device->points_text), &points, NULL) == 0,
            "points that are no JSON");
}

static void profile(const uint8_t *data, size_t n, struct mistakes *mistakes)
{
    _cleanup_(profile_unrefp) struct profile *p = NULL;
    _cleanup_free_ char *text = copy(data, n);
    _cleanup_(profile_message_done) struct profile_message message = {0};
    const struct profile_names names = {"device", "hardware", "opaque", "gateway", 50};
    int r;

    r = profile_parse("profile.json", text, n, &p, mistakes);
    require((r == 0) == (mistakes->n_all == 0), "a profile: refused without a mistake, or taken with one");
    if (p && !p->probe.none)
        require(profile_probe(p, &names, &message) == 0, "no probe");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    _cleanup_(mistakes_done) struct mistakes mistakes = {0};
    _cleanup_free_ char *text = NULL;

    if (size == 0)
        return 0;
    prescan(data + 1, size - 1);
    if (data[0] % 3 == 0)
        globals(data + 1, size - 1, &mistakes);
    else if (data[0] % 3 == 1)
        device(data + 1, size - 1, &mistakes);
    else
        profile(data + 1, size - 1, &mistakes);
    require(mistakes_format(&mistakes, &text) == 0, "no text");
    return 0;
}
